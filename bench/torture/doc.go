// Command torture runs every proof with full counts, one line a proof. What is
// done is noted in var/torture-<seed>-<count>, so that a run which was stopped
// goes on where it was. A proof is a test that reads COUNT and SEED from its
// environment and logs a line "proof: …" with what it did.
package main

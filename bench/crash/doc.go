// Package crash kills real processes and looks whether the slot keeps its word:
// every acknowledged message is there after the next start, under the UID that was
// seen, byte for byte, and found by search, with no repair command run.
//
// TestKillNine kills at random moments, TestKillAtEachStep at each step that the
// code names (slot.Hooks) and before each function that has the disk change
// something; the list of steps is read from the code. After each kill the slot is
// opened in the test's process (check_test.go): mail, index and what they say of
// each other are verified, searches are compared with a scan, no UID and no
// generation of a database stands for two things, and nothing is left over.
//
// TestClockSteps steps the clock of a slot that runs.
//
// TestSeveralSquatters kills nobody: many processes work on one user at once.
//
// The commands are built with the tag "steps". See powercut for what kill -9 cannot
// show.
package crash

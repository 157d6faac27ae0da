// Command sabotage proves that the proofs can fail. Each patch below
// bench/sabotage/patches does one small damage to the code: a sync removed, a
// lock not taken, a check skipped. Its first lines name the test that must turn
// red:
//
//	# what is damaged, and what would happen to somebody's mail
//	test: <package> <regular expression of tests>
//
// Each is applied to a copy of the tree, alone, and taken back; sabotage fails where
// a patch no longer applies, where the damaged code does not build, or where the
// tests stay green. All of them take hours: -from goes on where a run was stopped.
package main

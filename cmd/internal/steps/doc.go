// Package steps loads a command's configuration. Built with the tag "steps",
// and only then, it makes a command that kills itself at a chosen step, or tells
// which ones it comes to, for the tests that kill real processes (bench/crash):
//
//	TERASLOT_STEPS=record:FILE       append the name of each step to FILE
//	TERASLOT_STEPS=kill:N:STEP       end by SIGKILL when STEP comes for the Nth time
//	TERASLOT_STEPS=clock:DURATION    the clock goes ahead by that, or back
//	TERASLOT_STEPS=clock-of:FILE     by what FILE says at each moment
//	TERASLOT_STEPS=passwords         new hashes of passwords cost slot.CheapPasswords
//
// A step is one that a package names ("mailstore: committed"), or the moment
// before a function lets a file change ("disk: sync by tiers.writeSegment").
package steps

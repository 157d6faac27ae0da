package main

// proof is a test that shows something that must always hold (docs/design.md §7).
type proof struct {
	name  string // of what is shown
	pkg   string
	test  string // its name, or several with "|" between
	count int    // the full count
}

// proofs are all of them.
var proofs = []proof{
	{"locks of a user among processes, killed at random", "activefile", "TestKilledAtRandom", 200},
	{"index against a linear scan", "tiers", "TestProperty", 300},
	{"index, several processes on one user", "tiers", "TestProcesses", 20},
	{"index, processes killed at each step", "tiers", "TestKill", 5},
	{"store against a map", "mailstore", "TestAgainstOracle", 300},
	{"store, a process killed at random", "mailstore", "TestKill", 100},
	{"store, cut at every recorded system call", "mailstore", "TestPowerCutReplay", 5},
	{"store damaged anywhere, repaired or made anew", "mailstore", "TestRepairAnyDamage", 10000},
	{"any file of a user damaged, at rest and at work: right answers or errors", "search", "TestAnyDamage", 10000},
	{"plans of compactions, of any state", "squatter", "TestPlanHolds", 10000},
	{"search against a scan, any index state", "search", "TestSearchAgreesWithTheOracle", 60},
	{"search against Python's reading of the mail", "bench/oracle", "TestPython", 2000},
	{"sessions against a model of mailboxes", "imapd", "TestSessionsAgainstModel", 2000},
	{"every section of every message", "imapd", "TestFetchCorpus", 1000000},
	{"slot and squatter killed at random", "bench/crash", "TestKillNine", 60},
	{"two-way sync by mbsync and offlineimap", "bench/clients", "TestSync", 6046},
	{"sessions that idle are told, within their memory", "bench/idle", "TestIdle", 1000},
	{"full disk", "bench/crash", "TestFullDisk", 1},
	{"backups killed at random, and a slot restored", "bench/crash", "TestKillBackup", 30},
	{"backups cut at every operation", "backup", "TestCutAtEveryOperation", 1000},
	{"order of a delivery's writes and syncs", "bench/powercut", "TestOrder", 1},
	{"power cuts of a delivery run", "bench/powercut", "TestEveryCut", 10000},
}

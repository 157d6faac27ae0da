package main

import "fmt"

// proof is a test that shows something that must always hold (docs/design.md §7).
type proof struct {
	name  string // of what is shown
	seed  int    // of this run
	pkg   string
	test  string // its name, or several with "|" between
	count int    // the full count
	// pieces, if not 0, are runs of which each has its share of the count and a seed
	// of its own: a run that was stopped goes on with the next piece.
	pieces int
}

// all are the proofs with every piece a proof of its own.
func all(seed int) []proof {
	var out []proof
	for _, p := range proofs {
		p.seed = seed
		if p.pieces == 0 {
			out = append(out, p)
			continue
		}
		piece := p
		piece.count = (p.count + p.pieces - 1) / p.pieces
		for i := range p.pieces {
			piece.name = fmt.Sprintf("%s, %d of %d", p.name, i+1, p.pieces)
			piece.seed = seed*1000 + i
			out = append(out, piece)
		}
	}
	return out
}

// proofs are all of them.
var proofs = []proof{
	{name: "locks of a user among processes, killed at random", pkg: "activefile", test: "TestKilledAtRandom", count: 200},
	{name: "index against a linear scan", pkg: "tiers", test: "TestProperty", count: 300},
	{name: "index, several processes on one user", pkg: "tiers", test: "TestProcesses", count: 20},
	{name: "index, processes killed at each step", pkg: "tiers", test: "TestKill", count: 5},
	{name: "store against a map", pkg: "mailstore", test: "TestAgainstOracle", count: 300},
	{name: "a replica after any change of the master", pkg: "mailstore", test: "TestApplyConverges", count: 400},
	{name: "split brain: promises to clients of both sides", pkg: "mailstore", test: "TestSplitBrain", count: 1200, pieces: 12},
	{name: "store, a process killed at random", pkg: "mailstore", test: "TestKill", count: 100},
	{name: "store, cut at every recorded system call", pkg: "mailstore", test: "TestPowerCutReplay", count: 5},
	{name: "store damaged anywhere, repaired or made anew", pkg: "mailstore", test: "TestRepairAnyDamage", count: 10000, pieces: 20},
	{name: "any value of mail.db damaged: right answers or errors, and mended", pkg: "mailstore", test: "TestAnyValueDamaged", count: 10000, pieces: 20},
	{name: "any value of slot.db damaged: right answers or errors, and mended", pkg: "account", test: "TestAnyValueDamaged", count: 5000, pieces: 4},
	{name: "power cuts of the migrations of slot.db", pkg: "account", test: "TestPowerCutOfMigration", count: 200},
	{name: "power cuts of the migrations of mail.db", pkg: "mailstore", test: "TestPowerCutOfMigration", count: 20},
	{name: "any file of a user damaged, at rest and at work: right answers or errors", pkg: "search", test: "TestAnyDamage", count: 10000, pieces: 20},
	{name: "plans of compactions, of any state", pkg: "squatter", test: "TestPlanHolds", count: 10000},
	{name: "search against a scan, any index state", pkg: "search", test: "TestSearchAgreesWithTheOracle", count: 60},
	{name: "search against Python's reading of the mail", pkg: "bench/oracle", test: "TestPython", count: 2000},
	{name: "sessions against a model of mailboxes", pkg: "imapd", test: "TestSessionsAgainstModel", count: 2000},
	{name: "clients that come back by QRESYNC, against a fresh look", pkg: "imapd", test: "TestResyncAgainstFresh", count: 500},
	{name: "every section of every message", pkg: "imapd", test: "TestFetchCorpus", count: 1000000},
	{name: "slot and squatter killed at random", pkg: "bench/crash", test: "TestKillNine", count: 1000, pieces: 8},
	{name: "imapd, squatter and slotctl killed at each step", pkg: "bench/crash", test: "TestKillAtEachStep", count: 5, pieces: 5},
	{name: "several squatters, daemons and slotctl on one user", pkg: "bench/crash", test: "TestSeveralSquatters", count: 4000, pieces: 4},
	{name: "two-way sync by mbsync and offlineimap", pkg: "bench/clients", test: "TestSync", count: 6046},
	{name: "sessions that idle are told, within their memory", pkg: "bench/idle", test: "TestIdle", count: 1000},
	{name: "users who come one after the other, databases opened on demand", pkg: "bench/idle", test: "TestVisits", count: 5000},
	{name: "a month of mail on a small tmpfs, the clock alone made", pkg: "bench/month", test: "TestMonth", count: 30},
	{name: "master and two replicas killed at random; networks, lines, disk and clocks bad", pkg: "bench/replicas", test: "TestKillReplicas", count: 500, pieces: 20},
	{name: "a frame between master and replica changed", pkg: "replication", test: "TestAnythingBetween", count: 400, pieces: 2},
	{name: "a replica with a backlog", pkg: "bench/replicas", test: "TestBacklog", count: 1000000},
	{name: "full disk", pkg: "bench/crash", test: "TestFullDisk", count: 1},
	{name: "temp vanished, before a start and under a running server", pkg: "bench/crash", test: "TestTempVanishes", count: 1},
	{name: "partitions full, one after the other", pkg: "bench/crash", test: "TestFullPartitions", count: 1},
	{name: "partitions gone, before a start and under a running server", pkg: "bench/crash", test: "TestPartitionVanishes", count: 1},
	{name: "partitions read-only", pkg: "bench/crash", test: "TestReadOnlyPartitions", count: 1},
	{name: "system calls that fail", pkg: "bench/crash", test: "TestDiskErrors", count: 1},
	{name: "few descriptors", pkg: "bench/crash", test: "TestFewDescriptors", count: 1},
	{name: "the clock stepping, back and ahead", pkg: "bench/crash", test: "TestClockSteps", count: 1},
	{name: "each operation of the disk failing once in a user's life", pkg: "mailstore", test: "TestFaultsEverywhere", count: 2},
	{name: "each operation of the disk failing once while a user moves", pkg: "slot", test: "TestMoveFailsAnywhere", count: 1},
	{name: "each operation of the disk failing once while an index moves", pkg: "tiers", test: "TestMoveFailsAnywhere", count: 1},
	{name: "backups killed at random, and a slot restored", pkg: "bench/crash", test: "TestKillBackup", count: 30},
	{name: "backups cut at every operation", pkg: "backup", test: "TestCutAtEveryOperation", count: 1000},
	{name: "order of a delivery's writes and syncs", pkg: "bench/powercut", test: "TestOrder", count: 1},
	{name: "power cuts of a delivery run", pkg: "bench/powercut", test: "TestEveryCut", count: 4000},
	{name: "power cuts of indexing, compaction, archiving, repacks and backups", pkg: "bench/powercut", test: "TestEveryCutOfWork", count: 10000, pieces: 4},
	{name: "power cuts of moves of users and mailboxes, renames and removals", pkg: "bench/powercut", test: "TestEveryCutOfMoves", count: 10000, pieces: 4},
}

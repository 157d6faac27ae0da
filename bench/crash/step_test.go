package crash

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"teraslot/bench/daemon"
)

// TestKillAtEachStep ends imapd, squatter and slotctl by SIGKILL at each step that
// the code names, in each of the scenarios that come to it, and before each
// function that changes files has the disk do something. Without COUNT, each named
// step is met once.
func TestKillAtEachStep(t *testing.T) {
	count, seed := environ("COUNT", 0), environ("SEED", 1)
	s := &stepKills{rng: rand.New(rand.NewPCG(uint64(seed), 5)), seed: seed, kills: map[string]int{}}
	for _, sc := range scenarios {
		met := s.record(t, sc)
		for _, step := range slices.Sorted(maps.Keys(met)) {
			want := max(count, 1)
			switch named := !strings.HasPrefix(step, "disk: "); {
			case !named && count == 0:
				want = 0
			case !named || count == 0:
				want -= s.kills[step] // by other scenarios
			}
			s.killAt(t, sc, step, met[step], want)
			if t.Failed() {
				t.Fatalf("SEED=%d: %s killed at %q while %s\n%s", seed, sc.victim, step, sc.name, s.w.slot.Log())
			}
		}
	}
	named := 0
	for _, step := range stepsInCode(t) {
		if elsewhere[step] {
			continue
		}
		named++
		if s.kills[step] < max(count, 1) {
			t.Errorf("%d processes were killed at %q, want %d", s.kills[step], step, max(count, 1))
		}
	}
	for _, step := range slices.Sorted(maps.Keys(s.kills)) {
		t.Logf("%4d %s", s.kills[step], step)
	}
	t.Logf("proof: seed %d: %d kills at %d steps, %d of them named by the code, in %d scenarios; %d acknowledged messages, none lost",
		seed, s.done, len(s.kills), named, len(scenarios), s.acked)
}

// elsewhere are steps that no slot without a replica comes to: package synclog's tests
// crash there.
var elsewhere = map[string]bool{"synclog: owed": true, "synclog: skipped": true}

// stepKills is the state of the test.
type stepKills struct {
	rng   *rand.Rand
	seed  int
	w     *world
	used  int            // runs on w
	kills map[string]int // by step
	done  int
	runs  int // a number for each
	acked int
}

// runsOfASlot is after how many runs a new slot is begun.
const runsOfASlot = 8

// world gives a slot that is not too full.
func (s *stepKills) world(t *testing.T) *world {
	if s.w == nil || s.used == runsOfASlot {
		if s.w != nil {
			s.acked += s.w.count()
		}
		s.w, s.used = newWorld(t, uint64(s.seed), slotOfSteps, "anna", "brong"), 0
	}
	s.used++
	s.runs++
	return s.w
}

// record runs a scenario to its end and returns the steps that it comes to, and how
// often.
func (s *stepKills) record(t *testing.T, sc scenario) map[string]int {
	t.Helper()
	w := s.world(t)
	file := filepath.Join(t.TempDir(), "steps")
	if sc.run(t, w, "record:"+file, s.runs) {
		t.Fatalf("%s was killed while its steps were recorded", sc.victim)
	}
	w.check(t, true)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	met := map[string]int{}
	for line := range bytes.Lines(b) {
		met[string(bytes.TrimSpace(line))]++
	}
	if t.Failed() {
		t.Fatalf("%s, without a kill\n%s", sc.name, w.slot.Log())
	}
	return met
}

// killAt has the victim killed at a step, want times. Where the step comes often,
// one of its occurrences is chosen; a run may come to fewer of them than the
// recorded one did.
func (s *stepKills) killAt(t *testing.T, sc scenario, step string, often, want int) {
	t.Helper()
	for tries := 0; want > 0 && tries < 5*max(want, 2); tries++ {
		w := s.world(t)
		nth := 1 + s.rng.IntN(often)
		if tries%5 == 4 {
			nth = 1
		}
		died := sc.run(t, w, fmt.Sprintf("kill:%d:%s", nth, step), s.runs)
		w.check(t, s.rng.IntN(2) == 0)
		if t.Failed() {
			return
		}
		if died {
			s.kills[step]++
			s.done++
			want--
		}
	}
	if want > 0 {
		t.Logf("%s while %s: %q was not met again, %d times", sc.victim, sc.name, step, want)
	}
}

// run lets a scenario happen on a slot, with an order for the victim, and reports
// whether it was killed.
func (sc scenario) run(t *testing.T, w *world, order string, run int) (died bool) {
	t.Helper()
	w.prepare(t, run, sc.before)
	if sc.victim != "imapd" {
		return sc.runCommand(t, w, order, run)
	}
	w.slot.Steps = order
	defer func() { w.slot.Steps = "" }()
	if w.slot.TryStart(t) == nil {
		sc.act(t, w, run)
	}
	return w.slot.End(t)
}

// untilDone runs a victim until it ends, or has done its work; then it is told to.
func (sc scenario) untilDone(t *testing.T, w *world, cmd *exec.Cmd) ([]byte, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if sc.until == nil {
		err := <-ended
		return out.Bytes(), err
	}
	k := w.checker(t)
	defer k.close()
	users, err := k.accounts.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case err := <-ended:
			return out.Bytes(), err
		case <-again.C:
		}
		done, err := sc.until(k, users)
		if err != nil {
			t.Error(err)
		}
		if done || err != nil {
			// An error means that it has ended by itself, which is what is waited for.
			_ = cmd.Process.Signal(syscall.SIGTERM)
			err := <-ended
			return out.Bytes(), err
		}
	}
}

// runCommand runs the victim beside a daemon that takes mail.
func (sc scenario) runCommand(t *testing.T, w *world, order string, run int) (died bool) {
	t.Helper()
	if !sc.alone {
		w.slot.Start(t)
		defer w.slot.Kill()
		defer w.deliverMeanwhile(t, run)()
	}
	cmd := exec.Command(daemon.Bin(t, sc.victim), append([]string{"-C", w.slot.Config}, sc.args(w)...)...)
	cmd.Env = append(os.Environ(), "TERASLOT_STEPS="+order)
	out, err := sc.untilDone(t, w, cmd)
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	died = ok && status.Signaled() && status.Signal() == syscall.SIGKILL
	if err != nil && !died {
		t.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	if sc.after != nil {
		sc.after(t, w)
	}
	return died
}

package transfer

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFitting(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "Work/Plans": "Work/Plans", "100%": "100%", "Entwürfe": "Entwürfe",
		"caf\xe9": "caf%E9", "50%/caf\xe9": "50%25/caf%E9", "tab\there": "tab%09here", "line\u2028": "line%E2%80%A8",
		"a//b": "a/%/b", "/a": "%/a", "\ufffd\xff": "\ufffd%FF",
	} {
		if got := fitting(name); got != want {
			t.Errorf("%q is %q here, not %q", name, got, want)
		}
	}
	long := strings.Repeat("é", 600)
	if got := fitting(long); !strings.HasPrefix(got, "éé") || len(got) > maxLevel || got == fitting(long+"x") {
		t.Errorf("a long name is %q", got)
	}
}

// TestFittingProperties: any name becomes one that a mailbox can have, and stays what it is then.
func TestFittingProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := string(rapid.SliceOfN(rapid.SampledFrom([]byte("ab/%\t\xc3\xa9\xff~INBOX")), 0, 40).Draw(t, "name"))
		if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
			name = strings.Repeat(name, 60)
		}
		got := fitting(name)
		if got != "" && !isName(got) || fitting(got) != got || isName(name) && got != name {
			t.Fatalf("%q is %q here, and that %q", name, got, fitting(got))
		}
	})
}

// TestFit: no two mailboxes get one name, subscriptions follow, and INBOX stays.
func TestFit(t *testing.T) {
	list := List{Mailboxes: []Place{{There: "INBOX"}, {There: "a_b", Here: "a_b"}, {There: "a/b", Here: "a_b"}, {There: "x\xe9", Here: "x\xe9"}, {There: "x%E9", Here: "x%E9"}},
		Subscriptions: []string{"", "x\xe9", "a_b", "gone\xff"}}
	fit(&list)
	var here []string
	for _, p := range list.Mailboxes {
		here = append(here, p.Here)
	}
	if want := []string{"", "a_b", "a_b~2", "x%E9", "x%E9~2"}; !slices.Equal(here, want) {
		t.Errorf("named %q, not %q", here, want)
	}
	if want := []string{"", "x%E9", "a_b~2", "a_b", "gone%FF"}; !slices.Equal(list.Subscriptions, want) {
		t.Errorf("subscribed %q, not %q", list.Subscriptions, want)
	}
	if len(list.Notices) != 3 {
		t.Errorf("notices %q", list.Notices)
	}
}

package slot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEmptyFileIsComplete(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "slot.toml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Conf != "/var/lib/teraslot/conf" || c.Tiers.Default != "temp" || c.MaxMessage != 64<<20 ||
		time.Duration(c.Squatter.Delay) != 2*time.Second || time.Duration(c.Search.Time) != 5*time.Minute || c.LMTP.Socket != "/var/lib/teraslot/conf/lmtp.sock" || c.Name == "" {
		t.Errorf("%+v", c)
	}
	for tier, root := range c.Tiers.Roots() {
		if !filepath.IsAbs(root) {
			t.Errorf("tier %s lies at %q", tier, root)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, x := range []struct {
		name, text string
		want       string // part of the error; "" if it is good
	}{
		{"relative paths", `root = "data"`, ""},
		{"sizes", "max_message = \"20 MB\"\n[quota]\nbytes = \"1GB\"\nmessages = 1000", ""},
		{"size as a number", `max_message = 1048576`, ""},
		{"everything off", "[imap]\nlisten = []\nlisten_tls = []\n[lmtp]\nlisten = []\nsocket = \"none\"\nseparator = \"none\"", ""},
		{"roots side by side", `conf = "a"` + "\n" + `spool = "a/spool"`, ""},
		{"unknown key", `colour = "red"`, "unknown key colour"},
		{"unknown keys", "[imap]\nlissten = []\n[tiers]\nachive = \"x\"", "unknown keys imap.lissten, tiers.achive"},
		{"wrong type", `name = 7`, "name"},
		{"bad syntax", `name = `, "slot.toml"},
		{"bad size", `max_message = "many"`, "a size is"},
		{"negative size", `max_message = -1`, "negative"},
		{"size out of range", `max_message = "4GB"`, "max_message is"},
		{"bad duration", "[squatter]\ndelay = \"soon\"", "a duration is"},
		{"zero for never", "[jobs]\nexpunged = \"0s\"", "jobs.expunged cannot be 0: leave it out for its default, 168h0m0s"},
		{"zero of a size", "[compact]\nbandwidth = 0", "compact.bandwidth cannot be 0"},
		{"zero percent", "[Compact]\ntarget = 0", "ompact.target cannot be 0"},
		{"zero that is a choice", "[search]\nmessages = 0\n[lmtp]\nduplicates = \"0s\"\n[quota]\nbytes = 0", ""},
		{"bad tier", "[tiers]\ndefault = \"fast\"", "tiers.default"},
		{"equal roots", `conf = "x"` + "\n" + `spool = "x"`, "conf and spool are the same directory"},
		{"equal tiers", "[tiers]\ndata = \"x\"\narchive = \"x/../x\"", "tiers.data and tiers.archive"},
		{"root inside another's files", `spool = "s"` + "\n" + `archive = "s/users/archive"`, "archive"},
		{"tier inside the spool's files", "spool = \"s\"\n[tiers]\ndata = \"s/users\"", "tiers.data"},
		{"tier inside the sync log", "conf = \"c\"\n[tiers]\nmeta = \"c/sync/x\"", "tiers.meta"},
		{"the whole disk", `conf = "/"`, "root of the file system"},
		{"bad choice", "[lmtp]\nover_quota = \"never\"", "lmtp.over_quota"},
		{"bad mode", "[lmtp]\nsocket_mode = \"rw\"", "lmtp.socket_mode"},
		{"bad separator", "[lmtp]\nseparator = \"ab\"", "lmtp.separator"},
		{"bad log level", "[log]\nlevel = \"loud\"", "log.level"},
		{"bad address", "[imap]\nlisten = [\"1143\"]", "imap.listen"},
		{"address twice", "[imap]\nlisten = [\"127.0.0.1:7\"]\nlisten_tls = [\"127.0.0.1:7\"]", "named by imap.listen and by imap.listen_tls"},
		{"half a certificate", "[tls]\ncert = \"c.pem\"", "tls.cert and tls.key"},
		{"bounds of searches", "[search]\ntime = \"20s\"\nmessages = 5000", ""},
		{"a search of days", "[search]\ntime = \"48h\"", "search.time"},
		{"fewer than no messages", "[search]\nmessages = -1", "search.messages"},
		{"batch out of range", "[squatter]\nbatch = -5", "squatter.batch"},
	} {
		t.Run(x.name, func(t *testing.T) {
			c, err := Read(strings.NewReader(x.text), filepath.Join(t.TempDir(), "slot.toml"))
			switch {
			case x.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)):
				t.Errorf("%v, want an error with %q", err, x.want)
			case x.want != "" && !errors.Is(err, ErrConfig):
				t.Errorf("%v is no ErrConfig", err)
			case x.want != "" && !strings.Contains(err.Error(), "slot.toml"):
				t.Errorf("%v does not name the file", err)
			}
			if err == nil && !filepath.IsAbs(c.Spool) {
				t.Errorf("spool %q is not absolute", c.Spool)
			}
		})
	}
}

// TestRootsUnderOtherNames: a link, or the same directory by another way, must
// not hide that two roots are one.
func TestRootsUnderOtherNames(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"real/users/x", "other"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"link": "real", "deep": "real/users/x"} {
		if err := os.Symlink(filepath.Join(dir, to), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for text, good := range map[string]bool{
		"spool = \"real\"\narchive = \"other\"":      true,
		"spool = \"real\"\narchive = \"link\"":       false,
		"spool = \"real\"\narchive = \"deep\"":       false,
		"spool = \"real\"\narchive = \"deep/later\"": false,
		"spool = \"real\"\narchive = \"link/later\"": true,
	} {
		_, err := Read(strings.NewReader(text), filepath.Join(dir, "slot.toml"))
		if good != (err == nil) {
			t.Errorf("%s: %v", strings.ReplaceAll(text, "\n", "; "), err)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "7": 7, "1kB": 1 << 10, "3 MB": 3 << 20, "2gb": 2 << 30, "1TB": 1 << 40, "9B": 9} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MB", "-1", "1.5MB", "9999999999TB", "1 XB", "1MBMB"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
	for size, want := range map[Bytes]string{0: "0B", 1000: "1000B", 1 << 20: "1MB", 3 << 40: "3TB", 1536: "1536B", 2048: "2kB"} {
		if got := size.String(); got != want {
			t.Errorf("%d: %s, want %s", size, got, want)
		}
		if back, err := ParseBytes(size.String()); err != nil || back != size {
			t.Errorf("%s reads as %d, %v", size, back, err)
		}
	}
}

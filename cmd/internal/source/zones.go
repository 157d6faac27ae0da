package source

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ZonesFile, in a folder of an export, has the zones of internal dates, which no time of
// modification has: on each line minutes east of UTC and a file's name without its flags. Of
// files that it does not name the zone is UTC.
const ZonesFile = "teraslot-zones"

// ErrZones is returned for a ZonesFile that cannot be read.
var ErrZones = errors.New("not a list of zones")

// zones are those of a folder's messages by the unique names of their files; nil where the
// folder has no such list.
type zones map[string]int16

// in gives a time of modification the zone that the file's date had; where no list tells
// that, this machine's, as IMAP servers over Maildir give it.
func (z zones) in(t time.Time, unique string) time.Time {
	if z == nil {
		return t
	}
	return t.In(time.FixedZone("", int(z[unique])*60))
}

func readZones(dir string) (zones, error) {
	f, err := os.Open(filepath.Join(dir, ZonesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z := zones{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		number, unique, ok := strings.Cut(lines.Text(), " ")
		minutes, err := strconv.ParseInt(number, 10, 16)
		if err != nil || !ok || math.Abs(float64(minutes)) >= 24*60 {
			return nil, fmt.Errorf("%s: %w: %.100q", f.Name(), ErrZones, lines.Text())
		}
		z[unique] = int16(minutes)
	}
	return z, lines.Err()
}

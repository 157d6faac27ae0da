package terminal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Is reports whether a person is at the other end.
func Is(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// ErrNoPassword is returned where none was given.
var ErrNoPassword = errors.New("no password given")

// Password asks for a password without showing it, twice so that a slip does no
// harm; where in is no terminal, it is the first line.
func Password(in *os.File, out io.Writer) (string, error) {
	r := bufio.NewReader(in)
	if !Is(in) {
		return passwordLine(r)
	}
	var given [2]string
	for i, prompt := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(out, prompt)
		var err error
		if given[i], err = hidden(in, r); err != nil {
			return "", err
		}
		fmt.Fprintln(out)
	}
	if given[0] != given[1] {
		return "", errors.New("the passwords differ")
	}
	return given[0], nil
}

func passwordLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", ErrNoPassword
	}
	return line, nil
}

// hidden reads a line with the terminal's echo off.
func hidden(in *os.File, r *bufio.Reader) (string, error) {
	fd := int(in.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return "", err
	}
	line, err := passwordLine(r)
	return line, errors.Join(err, unix.IoctlSetTermios(fd, unix.TCSETS, before))
}

// Progress is a line that is written over and over. Its zero value shows
// nothing.
type Progress struct {
	out   io.Writer
	every time.Duration
	last  time.Time
	width int
}

// NewProgress shows progress on f if it is a terminal.
func NewProgress(f *os.File) *Progress {
	if !Is(f) {
		return &Progress{}
	}
	return &Progress{out: f, every: 100 * time.Millisecond}
}

// Show replaces the line, not more often than ten times a second.
func (p *Progress) Show(now time.Time, text func() string) {
	if p.out == nil || now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	p.write(text())
}

// Clear takes the line away, so that another can be written.
func (p *Progress) Clear() {
	if p.out != nil && p.width > 0 {
		p.write("")
		fmt.Fprint(p.out, "\r")
	}
	p.last = time.Time{}
}

func (p *Progress) write(text string) {
	n := len([]rune(text))
	fmt.Fprintf(p.out, "\r%s%s", text, strings.Repeat(" ", max(0, p.width-n)))
	p.width = n
}

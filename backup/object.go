package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"teraslot/disk"
)

// errObject: a file is not what the manifest says.
var errObject = errors.New("the file does not match the manifest")

// store compresses a file of the real disk into one of the directory, syncs that, and
// leaves its name to the caller to sync.
func (r *Repository) store(file, from string) (Object, error) {
	o := Object{File: filepath.ToSlash(file)}
	in, err := os.Open(from)
	if err != nil {
		return o, err
	}
	defer in.Close()
	h := sha256.New()
	err = disk.WriteSynced(r.fs, r.path(o.File), 0o600, func(w io.Writer) error {
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return err
		}
		o.Size, err = io.Copy(io.MultiWriter(z, h), in)
		return errors.Join(err, z.Close())
	})
	o.SHA256 = hex.EncodeToString(h.Sum(nil))
	return o, err
}

// load writes what is in an object to w, and fails if that is not what was stored.
func (r *Repository) load(o Object, w io.Writer) (err error) {
	f, err := r.fs.OpenFile(r.path(o.File), os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer z.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), io.LimitReader(z, o.Size+1))
	if err != nil {
		return fmt.Errorf("%s: %w", o.File, err)
	}
	if n != o.Size || hex.EncodeToString(h.Sum(nil)) != o.SHA256 {
		return fmt.Errorf("%s: %w", o.File, errObject)
	}
	return nil
}

// there reports whether an object's file is there, without reading it.
func (r *Repository) there(o Object) bool {
	info, err := r.fs.Stat(r.path(o.File))
	return err == nil && !info.IsDir()
}

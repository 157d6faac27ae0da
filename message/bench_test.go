package message

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is what the process has used so far.
func processorTime() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// realMail is the SpamAssassin corpus in memory.
func realMail(b *testing.B) (messages [][]byte, size int64) {
	corpus(b, "spamassassin", func(_ string, raw []byte) {
		messages = append(messages, raw)
		size += int64(len(raw))
	})
	return messages, size
}

// over runs fn for every message; the figures are for the whole corpus. MB/cpu-s
// counts the collector's work too, but not the wait on a busy machine.
func over(b *testing.B, fn func(r *bytes.Reader, size int64)) {
	messages, size := realMail(b)
	b.SetBytes(size)
	b.ReportAllocs()
	start := processorTime()
	for b.Loop() {
		for _, raw := range messages {
			fn(bytes.NewReader(raw), int64(len(raw)))
		}
	}
	used := processorTime() - start
	b.ReportMetric(float64(size)*float64(b.N)/1e6/used.Seconds(), "MB/cpu-s")
}

func BenchmarkParse(b *testing.B) {
	over(b, func(r *bytes.Reader, size int64) {
		if _, err := Parse(r, size); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkExtract(b *testing.B) {
	over(b, func(r *bytes.Reader, size int64) {
		if _, err := Extract(b.Context(), r, size, Limits{}); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkStructure encodes and decodes the structures of the corpus.
func BenchmarkStructure(b *testing.B) {
	messages, _ := realMail(b)
	var list []*Structure
	encoded := 0
	for _, raw := range messages {
		s, err := Parse(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, s)
	}
	var buf []byte
	b.Run("AppendBinary", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encoded = 0
			for _, s := range list {
				buf, _ = s.AppendBinary(buf[:0])
				encoded += len(buf)
			}
		}
		b.ReportMetric(float64(encoded)/float64(len(list)), "octets/message")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/message")
	})
	var all [][]byte
	for _, s := range list {
		e, _ := s.AppendBinary(nil)
		all = append(all, e)
	}
	var encodedAll []string
	for _, e := range all {
		encodedAll = append(encodedAll, string(e))
	}
	b.Run("StructureDecoder", func(b *testing.B) {
		b.ReportAllocs()
		var d StructureDecoder
		for b.Loop() {
			for _, e := range encodedAll {
				if _, err := d.Decode(e); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/message")
	})
	b.Run("UnmarshalStructure", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, e := range all {
				if _, err := UnmarshalStructure(e); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/message")
	})
}

package daemon

import "testing"

// TestFreeAddress: what nobody has bound yet is not given to somebody else.
func TestFreeAddress(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		addr := FreeAddress(t)
		if seen[addr] {
			t.Fatalf("%s twice", addr)
		}
		seen[addr] = true
	}
}

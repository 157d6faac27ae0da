//go:build !steps

package steps

import "teraslot/slot"

// Load is slot.Load.
func Load(file string) (*slot.Config, error) { return slot.Load(file) }

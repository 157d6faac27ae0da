package slot

import "testing"

// TestLimitsFit: with few descriptors, clients and idle users leave the slot what it
// needs; with many, all is as configured.
func TestLimitsFit(t *testing.T) {
	for _, tc := range []struct {
		descriptors int64
		want        limits
	}{
		{1 << 20, limits{10000, 100, 1024}},
		{65536, limits{10000, 100, 1024}},
		{4096, limits{1524, 100, 169}},
		{1024, limits{372, 100, 41}},
		{256, limits{84, 28, 9}},
		{64, limits{12, 4, 1}},
		{10, limits{6, 2, 1}},
	} {
		got := limits{imap: 10000, lmtp: 100, users: 1024}.fit(tc.descriptors)
		if got != tc.want {
			t.Errorf("%d descriptors: %+v, want %+v", tc.descriptors, got, tc.want)
		}
		if used := int64(got.imap + got.lmtp + got.users*userDescriptors + ownDescriptors); tc.descriptors >= 64 && used > tc.descriptors {
			t.Errorf("%d descriptors: %d are needed", tc.descriptors, used)
		}
	}
}

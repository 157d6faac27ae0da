package slot

import (
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Validate checks what can be checked without opening anything.
func (c *Config) Validate() error {
	if _, ok := c.Tiers.Roots()[c.Tiers.Default]; !ok {
		return fmt.Errorf("%w: tiers.default %q is none of %s", ErrConfig, c.Tiers.Default, strings.Join(TierNames, ", "))
	}
	if err := c.checkPartitions(); err != nil {
		return err
	}
	if err := c.checkRoots(); err != nil {
		return err
	}
	if err := c.checkChoices(); err != nil {
		return err
	}
	if err := c.checkNumbers(); err != nil {
		return err
	}
	if err := c.validateSchedules(); err != nil {
		return err
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return fmt.Errorf("%w: tls.cert and tls.key go together: give both or neither", ErrConfig)
	}
	for key, list := range map[string][]string{"imap.proxies": c.IMAP.Proxies, "lmtp.proxies": c.LMTP.Proxies} {
		if _, err := parseProxies(list); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if err := c.Replication.validate(); err != nil {
		return err
	}
	return c.checkAddresses()
}

func (c *Config) checkChoices() error {
	for _, x := range []struct {
		key, value string
		choices    []string
	}{
		{"lmtp.over_quota", c.LMTP.OverQuota, []string{"temporary", "permanent"}},
		{"log.level", c.Log.Level, []string{"debug", "info", "warn", "error"}},
		{"log.format", c.Log.Format, []string{"text", "json"}},
	} {
		if !slices.Contains(x.choices, x.value) {
			return fmt.Errorf("%w: %s %q is none of %s", ErrConfig, x.key, x.value, strings.Join(x.choices, ", "))
		}
	}
	if c.LMTP.Separator != "none" && (len(c.LMTP.Separator) != 1 || strings.ContainsAny(c.LMTP.Separator, "@<>/ ")) {
		return fmt.Errorf("%w: lmtp.separator %q is neither one character nor \"none\"", ErrConfig, c.LMTP.Separator)
	}
	if _, err := c.LMTP.mode(); err != nil {
		return err
	}
	return nil
}

func (c *Config) checkNumbers() error {
	for _, x := range []struct {
		key       string
		value     int64
		low, high int64
	}{
		{"max_message", int64(c.MaxMessage), 1 << 10, 1 << 31},
		{"quota.messages", c.Quota.Messages, 0, 1 << 40},
		{"imap.max_connections", int64(c.IMAP.MaxConnections), 1, 1 << 20},
		{"imap.max_per_address", int64(c.IMAP.MaxPerAddress), 1, 1 << 20},
		{"imap.max_per_user", int64(c.IMAP.MaxPerUser), 1, 1 << 20},
		{"lmtp.max_connections", int64(c.LMTP.MaxConnections), 1, 1 << 20},
		{"lmtp.max_recipients", int64(c.LMTP.MaxRecipients), 1, 100000},
		{"search.time, in seconds", int64(time.Duration(c.Search.Time) / time.Second), 1, 24 * 3600},
		{"search.messages", c.Search.Messages, 0, 1 << 40},
		{"squatter.batch", int64(c.Squatter.Batch), 1, 100000},
	} {
		if x.value < x.low || x.value > x.high {
			return fmt.Errorf("%w: %s is %d, not between %d and %d", ErrConfig, x.key, x.value, x.low, x.high)
		}
	}
	return nil
}

// mode reads SocketMode.
func (l LMTP) mode() (fs.FileMode, error) {
	m, err := strconv.ParseUint(l.SocketMode, 8, 32)
	if err != nil || m > 0o777 {
		return 0, fmt.Errorf("%w: lmtp.socket_mode %q is not octal permissions such as \"0660\"", ErrConfig, l.SocketMode)
	}
	return fs.FileMode(m), nil
}

func (c *Config) checkAddresses() error {
	seen := map[string]string{}
	for _, x := range []struct {
		key   string
		addrs []string
	}{
		{"imap.listen", c.IMAP.Listen},
		{"imap.listen_tls", c.IMAP.ListenTLS},
		{"lmtp.listen", c.LMTP.Listen},
		{"metrics.listen", nonEmpty(c.Metrics.Listen)},
	} {
		for _, a := range x.addrs {
			_, port, err := net.SplitHostPort(a)
			if err != nil {
				return fmt.Errorf("%w: %s %q: an address is host:port: %w", ErrConfig, x.key, a, err)
			}
			if other, ok := seen[a]; ok && port != "0" {
				return fmt.Errorf("%w: %s is named by %s and by %s", ErrConfig, a, other, x.key)
			}
			seen[a] = x.key
		}
	}
	return nil
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

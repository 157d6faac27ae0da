package slot

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"
)

// zeros are the numbers that a file gives as 0, by their keys, as they are in a Config.
func zeros(c *Config, keys []toml.Key) map[string]reflect.Value {
	out := make(map[string]reflect.Value)
	for _, k := range keys {
		if v := fieldOf(reflect.ValueOf(c).Elem(), k); v.IsValid() && v.CanInt() && v.IsZero() {
			out[k.String()] = v
		}
	}
	return out
}

// fieldOf is the field of a struct that a key names; not valid where the key goes through a map
// or a list.
func fieldOf(v reflect.Value, key toml.Key) reflect.Value {
	for _, name := range key {
		if v.Kind() != reflect.Struct {
			return reflect.Value{}
		}
		v = v.FieldByNameFunc(func(field string) bool {
			f, _ := v.Type().FieldByName(field)
			return strings.EqualFold(f.Tag.Get("toml"), name)
		})
		if !v.IsValid() {
			return v
		}
	}
	return v
}

// refuseZeros tells of numbers that were given as 0 and are the default now: whoever wrote
// 0 meant never, or none, and would get something else.
func refuseZeros(given map[string]reflect.Value) error {
	for key, v := range given {
		if !v.IsZero() {
			return fmt.Errorf("%w: %s cannot be 0: leave it out for its default, %v", ErrConfig, key, v.Interface())
		}
	}
	return nil
}

package message

import "testing"

func TestDecodeHeader(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"plain", "Hello", "Hello"},
		{"folded", "a\r\n b\n\tc ", "a b\tc"},
		{"Q", "=?iso-8859-1?Q?caf=E9_x?= y", "café x y"},
		{"B", "=?utf-8?b?Y2Fmw6k=?=", "café"},
		{"adjacent words", "=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
		{"adjacent over a fold", "=?utf-8?q?a?=\r\n  =?utf-8?q?b?=", "ab"},
		{"adjacent, of two charsets", "=?utf-8?q?=C3=A9?= =?iso-8859-1?q?=E9?=", "éé"},
		{"words and text", "x =?utf-8?q?a?= y =?utf-8?q?b?= z", "x a y b z"},
		{"a character cut in two", "=?utf-8?q?caf=C3?= =?UTF-8?q?=A9?=", "café"},
		{"without space around", "x=?utf-8?q?a?=y=?utf-8?q?b?=z", "xaybz"},
		{"in quotes", `"=?utf-8?q?a?=" <b@c>`, `"a" <b@c>`},
		{"raw UTF-8", "caf\xc3\xa9", "café"},
		{"raw Latin-1", "caf\xe9 \x80", "café €"},
		{"raw beside a word", "caf\xe9 =?utf-8?q?=C3=A9?=", "café é"},
		{"spaces inside", "=?utf-8?q?a b c?= d", "a b c d"},
		{"a question mark inside", "=?utf-8?q?a?b?=", "a?b"},
		{"empty", "=?utf-8?q??=x", "x"},
		{"a language", "=?utf-8*en?q?a?=", "a"},
		{"no padding", "=?utf-8?b?Y2Fmw6k?=", "café"},
		{"bad base64", "=?utf-8?b?Y2F m*w6k=?=", "café"},
		{"bad Q", "=?utf-8?q?a=G1=?=", "a=G1="},
		{"unknown charset", "=?x-what?q?caf=E9?=", "café"},
		{"quoted charset", "=?\"utf-8\"?q?caf=C3=A9?=", "café"},
		{"unknown encoding", "=?utf-8?x?a?=", "=?utf-8?x?a?="},
		{"no end", "=?utf-8?q?abc", "=?utf-8?q?abc"},
		{"the next one's end", "=?utf-8?q?a =?utf-8?q?b?=", "=?utf-8?q?a b"},
		{"half of one", "=?utf-8?q", "=?utf-8?q"},
		{"trailing space", "=?utf-8?q?a?= ", "a "},
		{"shift state", "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"},
		{"gb2312 with a GBK character", "=?gb2312?B?1Mo=?=", "允"},
		{"korean", "=?ks_c_5601-1987?B?x9GxuQ==?=", "한국"},
		{"utf-7", "=?unicode-1-1-utf-7?Q?caf+AOk-?=", "café"},
	} {
		if got := DecodeHeader(test.value); got != test.want {
			t.Errorf("%s: DecodeHeader(%q) = %q, want %q", test.name, test.value, got, test.want)
		}
	}
}

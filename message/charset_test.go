package message

import (
	"strings"
	"testing"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding/ianaindex"
)

func TestDecodeText(t *testing.T) {
	for _, test := range []struct{ charset, octets, want string }{
		{"", "caf\xe9", "café"},
		{"", "caf\xc3\xa9", "café"},
		{"", "\xc3\xa9 and \xe9", "é and é"},
		{"us-ascii", "\x93quoted\x94", "“quoted”"},
		{"utf-8", "\xe2\x82A\xff\xed\xa0\x80", "â‚Aÿí\u00a0€"},
		{"iso-8859-1", "\x80\xe9", "€é"},
		{"iso-8859-1", "\xc3\xa9", "Ã©"},
		{"", "\x81\x8d\x8f\x90\x9d", "\u0081\u008d\u008f\u0090\u009d"},
		{"windows-1252", "\x81", "\u0081"},
		{"windows-1257", "\x81", "\u0081"},
		{"windows-1253", "\xe1\xd2", "αÒ"},
		{" \"UTF-8\" ", "\xc3\xa9", "é"},
		{"utf-8; format=flowed", "\xc3\xa9", "é"},
		{"koi8-r", "\xf0\xd2\xc9", "При"},
		{"cp932", "\x93\xfa\x96\x7b", "日本"},
		{"Windows-31J", "\x87\x40", "①"},
		{"euc-jp", "日本", "日本"},
		{"shift_jis", "\x93\xfa\x85\x00", "日\uFFFD\x00"},
		{"uhc", "\xc7\xd1\xb1\xb9", "한국"},
		{"ms949", "\x81\x41", "갂"},
		{"iso-2022-kr", "\x1b$)C\x0eGQ19\x0f x\n", "한국 x\n"},
		{"iso-2022-cn", "\x1b$)A\x0eVPND\x0f x", "中文 x"},
		{"hz-gb-2312", "~{VPND~} x", "中文 x"},
		{"big5", "\xa4\xa4\xa4\xe5", "中文"},
		{"gb18030", "\x81\x30\x81\x30", "\u0080"},
		{"utf-7", "caf+AOk- +- +2D3eAA +", "café + 😀 +"},
		{"utf-7", "+AOk\xe9", "éé"},
		{"utf-16", "\xff\xfea\x00\xe9\x00", "aé"},
		{"utf-16", "\x00a\x00\xe9", "aé"},
		{"utf-16le", "a\x00\xe9\x00", "aé"},
		{"utf-32", "\x00\x00\x00a", "a"},
		{"ibm850", "\x82", "é"},
		{"cp-866", "\x80", "А"},
		{"macintosh", "\x8e", "é"},
		{"iso-8859-8-i", "\xe0", "א"},
		{"tis-620", "\xa1", "ก"},
		{"x-unknown", "caf\xe9", "café"},
	} {
		if got := DecodeText(test.charset, []byte(test.octets)); got != test.want {
			t.Errorf("DecodeText(%q, %q) = %q, want %q", test.charset, test.octets, got, test.want)
		}
	}
}

// TestKnowsWhatOthersKnow holds the names against the two libraries whose
// charsets we promise to know.
func TestKnowsWhatOthersKnow(t *testing.T) {
	names := strings.Fields(`utf-8 us-ascii iso-8859-1 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7
		iso-8859-8 iso-8859-9 iso-8859-10 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16 windows-1250 windows-1251 windows-1252
		windows-1253 windows-1254 windows-1255 windows-1256 windows-1257 windows-1258 koi8-r koi8-u ibm866 ibm437 ibm850 ibm852
		macintosh x-mac-cyrillic windows-874 gb2312 gbk gb18030 hz-gb-2312 big5 euc-jp iso-2022-jp shift_jis euc-kr utf-16 utf-16be
		utf-16le latin1 latin2 cp1251 cp1252 ascii csisolatin2 greek cyrillic arabic hebrew l4 iso_8859-15 dos-874 ksc5601 ansi_x3.110-1983`)
	for _, name := range names {
		if _, err := charset.Reader(name, strings.NewReader("")); err != nil {
			enc, err := ianaindex.IANA.Encoding(name)
			if err != nil || enc == nil {
				t.Logf("%s: nobody else knows it", name)
			}
		}
		if !KnownCharset(name) {
			t.Errorf("%s is not known", name)
		}
	}
	for _, name := range strings.Fields("cp932 ms932 uhc ms949 cp949 utf-7 unicode-1-1-utf-7 iso-2022-kr x-sjis x-gbk cp-850 x-windows-949") {
		if !KnownCharset(name) {
			t.Errorf("%s is not known", name)
		}
	}
	for _, name := range []string{"", "x-unknown", "8bit", "default", "iso-8859-99", "cp9999"} {
		if KnownCharset(name) {
			t.Errorf("%q is known", name)
		}
	}
}

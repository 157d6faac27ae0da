package synthetic

import (
	"math/rand/v2"
	"strings"
)

// The vocabulary. A word is one of the core, which everybody uses, or one of the
// endless tail, drawn by Zipf's law with the exponent 1/0.665: then n words drawn
// have about n^0.665 distinct ones among them, as the kernel list's bodies do.
const (
	coreWords   = 500
	coreShift   = 2.7 // Mandelbrot's, so that the first word has some 6 % and not 20
	coreSteep   = 1.06
	tailSteep   = 1.504
	tailShift   = 900
	tailPerMill = 14 // so many words of a thousand are of the tail
)

// lexicon is the vocabulary of one language.
type lexicon struct {
	language string
	space    string // between words
	sounds   []string
	core     []string
	rand     *rand.Rand
	common   *rand.Zipf
	rare     *rand.Zipf
}

// scripts are the sounds that words are spelled with. The first language is the
// list's own; the core of it begins with the words that English cannot do without.
var scripts = []struct{ language, space, sounds string }{
	{"en", " ", "ba be bi bo ca ce co da de di do fa fe fi ga ge go ha he hi ka ke la le li lo lu ma me mi mo na ne ni no pa pe po ra re ri ro sa se si so ta te ti to tu va ve vi wa we ex in on er st al un or an"},
	{"de", " ", "ba be da de er ge ie ha he ka ke la le li ma me na ne ra re sa se st ta te ti un wa we zu ä ö ü ß ch sch"},
	{"fr", " ", "ba bé ca ce dé de du eu fa fé ga la le li ma me mé na né oi ou pa pe ra ré sa sé ta té ti ça è ê œ"},
	{"tr", " ", "ba be ça ci da de ğı ha he ka ke kı la le lı ma me mi na ne ra re sa şe ta te tı ya ye yü ö ü"},
	{"ru", " ", "ба бе ва ве го да де до жи за ка ко ла ле ли ма ме на не но по ра ре ро са се ся та те ти то ча ше ю я"},
	{"el", " ", "βα γα γε δα δε ζω θα κα κε λα λε λι μα με να νε ξο πα πο ρα ρε σα σε τα τε τι το φα χα ω ή ί ό"},
	{"he", " ", "א בה גד ה ו זמ חל טו י כן ל מר נא ס עם פ צד קר רא ש ת"},
	{"ar", " ", "ا بر تم ث ج حل خ د ذ ر زن س شم ص ض طا ظ ع غ فل ق كا لم م نا ه و ي"},
	{"hi", " ", "क कि की खा ग गो च जा ज़ ट डी त ता थे द दि न ना ने प पा ब भी म मे य र री ल लो व स सा ह ही"},
	{"ko", " ", "가 거 고 나 너 다 도 라 로 마 모 바 보 사 서 소 아 어 오 자 조 하 호 한 글 말"},
	{"ja", "", "日 本 人 大 小 中 山 川 田 目 手 水 火 木 金 土 の は が を に で と も か ら た い う え カ メ ラ ー"},
	{"zh", "", "的 一 是 不 了 人 我 在 有 他 这 中 大 来 上 国 个 到 说 们 为 子 和 你 地 出 道 也 时 年"},
	{"th", "", "กา ขอ คน งาน จะ ได้ ที่ นี้ บ้าน ปี ไป มา ไม่ รถ ลง วัน สอง หนึ่ง ให้ อยู่"},
}

const functionWords = "the to of a and in is it that for on this be with not as if we are you have i can so but or from at by an was do will there no what would all just which they need use then my when has should only one some like see more could me any also get how your think does make than about up out other now same way because into don't these its here them still too first well where may call code new set time used after before"

func newLexica(r *rand.Rand) []*lexicon {
	var all []*lexicon
	for _, s := range scripts {
		l := &lexicon{language: s.language, space: s.space, sounds: strings.Fields(s.sounds), rand: r}
		size := coreWords
		if len(all) == 0 {
			l.core = strings.Fields(functionWords)
		} else {
			size /= 20 // few write in it
		}
		for i := len(l.core); i < size; i++ {
			l.core = append(l.core, l.spell(uint64(i)))
		}
		l.common = rand.NewZipf(r, coreSteep, coreShift, uint64(size-1))
		l.rare = rand.NewZipf(r, tailSteep, tailShift, 1<<40)
		all = append(all, l)
	}
	return all
}

// word draws one.
func (l *lexicon) word() string {
	if l.rand.IntN(1000) >= tailPerMill {
		return l.core[l.common.Uint64()]
	}
	return l.spell(uint64(len(l.core)) + l.rare.Uint64())
}

// spell writes a number as sounds: another number hardly ever gives the same word,
// and rarer words are longer.
func (l *lexicon) spell(n uint64) string {
	var b strings.Builder
	base := uint64(len(l.sounds))
	b.WriteString(l.sounds[n%base])
	for n /= base; n > 0; n /= base {
		n--
		b.WriteString(l.sounds[n%base])
	}
	if l.space != "" && b.Len() < 4 {
		b.WriteString(l.sounds[0])
	}
	return b.String()
}

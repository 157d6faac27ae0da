package main

import (
	"fmt"
	"math"
	"math/rand/v2"

	"teraslot/bench/corpus"
	"teraslot/mailbox"
)

// day is how the mail of a day is spread over its hours.
var day = [24]float64{1, .6, .4, .3, .3, .6, 1.5, 3, 5, 7, 7.5, 7, 5.5, 6, 7, 7, 6.5, 5.5, 4, 3.5, 3, 2.5, 2, 1.5}

// person is a user.
type person struct {
	name   string
	id     mailbox.User
	weight float64
	got    []int // of the deck, in the order of delivery
}

// crowd is everybody who gets mail.
type crowd struct {
	people []*person
	rnd    *rand.Rand
}

// skew is how much more mail the large users get: that of the nth is proportional to
// 1/n^skew.
const skew = 0.8

func newCrowd(users int, rnd *rand.Rand) *crowd {
	c := &crowd{rnd: rnd}
	for n := range users {
		c.people = append(c.people, &person{name: fmt.Sprintf("user%03d", n), weight: math.Pow(float64(n+1), -skew)})
	}
	return c
}

// draw draws somebody by weight.
func (c *crowd) draw() *person {
	var sum float64
	for _, p := range c.people {
		sum += p.weight
	}
	x := c.rnd.Float64() * sum
	for _, p := range c.people {
		if x -= p.weight; x < 0 {
			return p
		}
	}
	return c.people[len(c.people)-1]
}

// any draws somebody, large or small.
func (c *crowd) any() *person { return c.people[c.rnd.IntN(len(c.people))] }

// deck is the mail that comes, in the order in which it comes; after the last, the
// first comes again.
type deck struct {
	mail []corpus.Message
	next int
}

func newDeck(mail []corpus.Message, rnd *rand.Rand) *deck {
	d := &deck{mail: append([]corpus.Message(nil), mail...)}
	rnd.Shuffle(len(d.mail), func(i, j int) { d.mail[i], d.mail[j] = d.mail[j], d.mail[i] })
	return d
}

// deal returns the number of the next message.
func (d *deck) deal() int {
	n := d.next % len(d.mail)
	d.next++
	return n
}

// post is how many messages come in half an hour of a day: on Saturdays and Sundays a
// third of the others.
type post struct{ owed float64 }

func (p *post) come(perDay float64, weekday, half int) int {
	var sum float64
	for _, w := range day {
		sum += w
	}
	share := day[half/2] / sum / 2
	if weekday == 0 || weekday == 6 {
		share /= 3
	}
	p.owed += perDay * share
	n := int(p.owed)
	p.owed -= float64(n)
	return n
}

package knock_test

import (
	"encoding/base32"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/totp"
)

func totpSecret(t testing.TB, n uint32) *totp.Secret {
	t.Helper()
	s, err := totp.ParseSecret([]byte(base32.StdEncoding.EncodeToString(number(n)[:20])), totp.SHA1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// totpAccess closes after 40 wrong codes, and to a source after 10.
func totpAccess(name string, s *totp.Secret) knock.Access {
	return knock.Access{Name: name, Knock: knock.TOTP{
		Secret: s, Base: totp.DefaultBase, Protocols: both, Within: 10 * time.Second, MaxAttempts: 40,
	}}
}

// dial is a code as packets.
func dial(src netip.Addr, code uint32) []*packet.Packet {
	var packets []*packet.Packet
	for _, n := range totp.Ports(totp.DefaultBase, code) {
		p := touch(src, port.Single(packet.TCP, n))
		sequenceNumber++
		p.SrcPort, p.TCP.Seq = 44444, sequenceNumber
		packets = append(packets, p)
	}
	return packets
}

// wrongCode returns the n-th of some codes that are not right now.
func wrongCode(n int, s *totp.Secret) uint32 {
	now := totp.Step(epoch)
	code := uint32(n * 7919)
	for step := now - 1; step <= now+2; step++ {
		if s.Code(step) == code {
			code++
		}
	}
	return code
}

func TestTOTPCode(t *testing.T) {
	secret := totpSecret(t, 1)
	now := totp.Step(epoch)
	right := dial(alice, secret.Code(now))
	wrong := dial(alice, wrongCode(1, secret))
	reversed := slices.Clone(right)
	slices.Reverse(reversed)
	at := func(steps int64) []*packet.Packet { return dial(alice, secret.Code(now+steps)) }
	for _, c := range []struct {
		name    string
		packets []*packet.Packet
		want    string
	}{
		{"in order", right, "granted"},
		{"reversed", reversed, "granted"},
		{"every packet twice", interleaved(right, right), "granted"},
		{"twice", slices.Concat(right, right), "granted"},
		{"digits typed again", slices.Concat(wrong[:3], right), "granted"},
		{"the last typed again", slices.Concat(right[:3], right[:2], right[3:]), "granted"},
		{"wrong", wrong, "4: no key matches"},
		{"wrong, then right", slices.Concat(wrong, right), "4: no key matches, granted"},
		{"wrong with repetitions, then right", slices.Concat(interleaved(wrong, wrong), right), "4: no key matches, granted"},
		{"wrong with late repetitions, then right", slices.Concat(wrong, wrong[2:], right), "4: no key matches, granted"},
		{"three of four", right[:3], ""},
		{"a step late", at(-1), "granted"},
		{"a step early", at(1), "granted"},
		{"two steps late", at(-2), "4: no key matches"},
		{"two steps early", at(2), "4: no key matches"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := engine(t, knock.Config{Accesses: []knock.Access{totpAccess("phone", secret)}})
			said := send(e, epoch, c.packets...)
			check(t, "said", append(said, e.Flush(epoch.Add(time.Minute))...), c.want)
		})
	}
}

func TestTOTPRequest(t *testing.T) {
	secret := totpSecret(t, 1)
	now := totp.Step(epoch)
	e := engine(t, knock.Config{Accesses: []knock.Access{totpAccess("phone", secret), totpAccess("tablet", secret)}})
	var requests []*knock.Request
	for i := range 2 {
		said := send(e, epoch.Add(time.Duration(i)*5*time.Second), dial(alice, secret.Code(now))...)
		check(t, "code", said, "granted")
		for _, v := range said {
			requests = append(requests, v.Request)
		}
	}
	if len(requests) != 2 || requests[0].Token != requests[1].Token {
		t.Fatalf("%v, want two with one token", requests)
	}
	r := requests[0]
	if want := epoch.Add(totp.Period + knock.MaxWindow + time.Second); !r.Forget.Equal(want) {
		t.Errorf("to be forgotten at %v, want %v", r.Forget, want)
	}
	if r.Allow != alice || r.Open != nil || r.Clock != 0 {
		t.Errorf("%+v", r)
	}
	said := send(e, epoch, dial(bob, secret.Code(now+1))...)
	check(t, "next code", said, "granted")
	if len(said) == 1 && said[0].Request.Token == r.Token {
		t.Error("another code has the same token")
	}
}

// guess sends wrong codes, each of them from one of some sources.
func guess(e *knock.Engine, at time.Time, secret *totp.Secret, from, n int, sources ...netip.Addr) (said []knock.Verdict) {
	for i := from; i < from+n; i++ {
		said = append(said, send(e, at, dial(sources[i%len(sources)], wrongCode(i, secret))...)...)
	}
	return said
}

// settle has a stray packet come after a silence that wrong codes wait for.
func settle(e *knock.Engine, at time.Time) (said []knock.Verdict) {
	for range 3 { // a packet ends the wait of two
		said = append(said, e.Handle(at.Add(9*time.Second), touch(carol, ssh))...)
	}
	return said
}

func TestTOTPSourceHasAShareOfWrongCodes(t *testing.T) {
	secret := totpSecret(t, 1)
	code := func(at time.Time) uint32 { return secret.Code(totp.Step(at)) }
	e := engine(t, knock.Config{Accesses: []knock.Access{totpAccess("phone", secret)}})
	said := guess(e, epoch, secret, 0, 12, alice)
	said = append(said, settle(e, epoch)...)
	if len(said) != 12 {
		t.Errorf("%d verdicts on 12 wrong codes", len(said))
	}
	for i, v := range said {
		want := knock.NoKey
		if i >= 10 {
			want = knock.TooManyCodes
		}
		if v.Reason != want {
			t.Errorf("wrong code %d: %s", i+1, say(v))
		}
	}
	check(t, "right code", send(e, epoch.Add(10*time.Second), dial(alice, code(epoch))...), "4: too many wrong codes")
	check(t, "right code of another", send(e, epoch.Add(10*time.Second), dial(bob, code(epoch))...), "granted")
	next := epoch.Add(totp.Period)
	check(t, "in the next step", send(e, next, dial(alice, code(next))...), "granted")
}

func TestTOTPManySources(t *testing.T) {
	secret := totpSecret(t, 1)
	code := func(at time.Time) uint32 { return secret.Code(totp.Step(at)) }
	sources := []netip.Addr{address(1), address(2), address(3), address(4), address(5)}
	narrow := totpAccess("narrow", totpSecret(t, 2))
	narrow.Source = func(a netip.Addr) bool { return a == bob || a == carol }
	e := engine(t, knock.Config{Accesses: []knock.Access{totpAccess("phone", secret), narrow}})
	guess(e, epoch, secret, 0, 40, sources...)
	check(t, "after 40", send(e, epoch, dial(alice, code(epoch))...), "granted")
	guess(e, epoch, secret, 40, 1, sources...)
	check(t, "the last codes of five sources", settle(e, epoch), strings.Repeat(", 4: no key matches", 5)[2:])
	later := epoch.Add(10 * time.Second)
	check(t, "after 41", send(e, later, dial(alice, code(later))...), "4: too many wrong codes")
	check(t, "an access that is not for them", send(e, later, dial(bob, totpSecret(t, 2).Code(totp.Step(later)))...), "granted")
	again := engine(t, knock.Config{Accesses: []knock.Access{totpAccess("phone", secret)}})
	again.Adopt(e)
	check(t, "in the engine after", send(again, later, dial(carol, code(later))...), "4: too many wrong codes")
	next := epoch.Add(totp.Period)
	check(t, "in the next step", send(again, next, dial(alice, code(next))...), "granted")
}

func TestTOTPManyAccesses(t *testing.T) {
	const n = 10_000
	var accesses []knock.Access
	for i := range uint32(n) {
		accesses = append(accesses, totpAccess(fmt.Sprint(i), totpSecret(t, i)))
	}
	e := engine(t, knock.Config{Accesses: accesses})
	for i := uint32(0); i < n; i += 777 {
		for steps := int64(-1); steps <= 1; steps++ {
			src := address(i*3 + uint32(steps+1))
			said := send(e, epoch, dial(src, totpSecret(t, i).Code(totp.Step(epoch)+steps))...)
			check(t, fmt.Sprint(i), said, "granted")
			if len(said) == 1 && said[0].Access != int(i) {
				t.Errorf("access %d, want %d", said[0].Access, i)
			}
		}
	}
}

func TestTOTPSource(t *testing.T) {
	secret := totpSecret(t, 1)
	a := totpAccess("phone", secret)
	a.Source = func(s netip.Addr) bool { return s == bob }
	e := engine(t, knock.Config{Accesses: []knock.Access{a}})
	code := secret.Code(totp.Step(epoch))
	check(t, "wrong", send(e, epoch, dial(alice, code)...), "4: the access is not for this address")
	check(t, "right", send(e, epoch, dial(bob, code)...), "granted")
}

func TestTOTPWithin(t *testing.T) {
	secret := totpSecret(t, 1)
	for lasts, want := range map[time.Duration]string{
		10 * time.Second: "granted", 10*time.Second + 1: "",
	} {
		e := engine(t, knock.Config{Accesses: []knock.Access{totpAccess("phone", secret)}})
		packets := dial(alice, secret.Code(totp.Step(epoch)))
		check(t, "beginning", send(e, epoch, packets[:3]...), "")
		check(t, lasts.String(), e.Handle(epoch.Add(lasts), packets[3]), want)
	}
}

// A right code that opens nothing has a verdict with its token all the same: whoever
// saw it must not be able to use it.
func TestTOTPCodeIsSpentWhereItOpensNothing(t *testing.T) {
	secret := totpSecret(t, 1)
	code := secret.Code(totp.Step(epoch))
	token := func(said []knock.Verdict, want knock.Reason) [32]byte {
		t.Helper()
		if len(said) != 1 || said[0].Reason != want || said[0].Request == nil {
			t.Fatalf("%+v, want one verdict %q with a token", said, want)
		}
		return said[0].Request.Token
	}
	fresh := func() *knock.Engine {
		return engine(t, knock.Config{Accesses: []knock.Access{totpAccess("phone", secret)}})
	}
	good := token(send(fresh(), epoch, dial(alice, code)...), knock.None)

	e := fresh()
	for n := range 10 { // forged in alice's name
		send(e, epoch, dial(alice, wrongCode(n, secret))...)
	}
	settle(e, epoch)
	if token(send(e, epoch.Add(9*time.Second), dial(alice, code)...), knock.TooManyCodes) != good {
		t.Error("another token for a source that used up its share")
	}

	e = fresh()
	p := dial(alice, code)
	send(e, epoch, p[0], p[1], p[2])
	if said := send(e, epoch.Add(10*time.Second), p[3]); token(said, knock.None) != good {
		t.Error("another token for a slow code")
	}

	// Two accesses with one secret have one code, and it opens one of them: the
	// first in the policy.
	other := totpAccess("tablet", secret)
	e = engine(t, knock.Config{Accesses: []knock.Access{totpAccess("phone", secret), other}})
	said := send(e, epoch, dial(alice, code)...)
	if token(said, knock.None) != good || said[0].Access != 0 {
		t.Errorf("%+v, want the first access and the token of its secret", said)
	}
}

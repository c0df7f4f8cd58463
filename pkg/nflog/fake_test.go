package nflog

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFakeLosesPackets(t *testing.T) {
	f := NewFake(5, 6)
	f.Log(Record{Group: 5, Payload: []byte("a")})
	f.Lose(5, 3)
	f.Overrun()
	f.Lose(7, 100) // not a group of the fake: no effect
	f.Log(Record{Group: 6, Payload: []byte("b")})
	f.Inject([]byte("nonsense"))
	f.Log(Record{Group: 5, InDevice: 4, Payload: []byte("c")})
	for _, want := range []Record{
		{Group: 5, Seq: 0, Payload: []byte("a")},
		{Group: 6, Seq: 0, Payload: []byte("b")},
		{Group: 5, Seq: 4, InDevice: 4, Payload: []byte("c")},
	} {
		got := read(t, f)
		got.Time = time.Time{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("record (-want +got):\n%s", diff)
		}
	}
	want := Stats{Packets: 3, Datagrams: 4, Lost: 3, Overruns: 1, Malformed: 1}
	if diff := cmp.Diff(want, f.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

func TestFakeKeepsTheTimeGiven(t *testing.T) {
	f := NewFake(5)
	when := time.Date(2004, 8, 1, 12, 0, 0, 123456789, time.UTC)
	f.Log(Record{Group: 5, Time: when})
	if got := read(t, f).Time; !got.Equal(when) {
		t.Errorf("time %v, want %v", got, when)
	}
}

func TestFakeFailsOnceAndInOrder(t *testing.T) {
	f := NewFake(5)
	broken := errors.New("broken")
	f.Log(Record{Group: 5})
	f.Fail(broken)
	f.Log(Record{Group: 5})
	read(t, f)
	var rec Record
	if err := f.Read(&rec); !errors.Is(err, broken) {
		t.Errorf("read: %v, want %v", err, broken)
	}
	read(t, f)
}

func TestFakeReadsDatagramsOfSeveralMessages(t *testing.T) {
	f := NewFake(5)
	f.Inject(append(appendPacket(appendPacket(nil,
		Record{Group: 5, Seq: 0, Payload: []byte("a")}), Record{Group: 5, Seq: 1, Payload: []byte("b")}), done()...))
	for _, want := range []string{"a", "b"} {
		if got := read(t, f); string(got.Payload) != want {
			t.Errorf("read %q, want %q", got.Payload, want)
		}
	}
}

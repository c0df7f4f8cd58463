package nflog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/test/netns/netnstest"
)

var (
	_ Source = (*Reader)(nil)
	_ Source = (*Fake)(nil)
)

// rig is a Source of groups 5 and 6, and functions to log packets and to compare their
// payloads.
type rig struct {
	Source
	log  func(group uint16, data []byte)
	data func(Record) []byte // the data that log was called with
}

func fakeRig(*testing.T) rig {
	f := NewFake(5, 6)
	return rig{
		Source: f,
		log:    func(group uint16, data []byte) { f.Log(Record{Group: group, Payload: data}) },
		data:   func(rec Record) []byte { return rec.Payload },
	}
}

func readerRig(t *testing.T) rig {
	n := netnstest.New(t)
	conns := make(map[uint16]func([]byte))
	for _, group := range []uint16{5, 6, 7} {
		logUDP(t, n, 1000+group, group)
		conn := dial(t, n, 1000+group)
		conns[group] = func(data []byte) { send(t, conn, data) }
	}
	return rig{
		Source: open(t, n, Config{Groups: []uint16{5, 6}}),
		log:    func(group uint16, data []byte) { conns[group](data) },
		data:   func(rec Record) []byte { return rec.Payload[udpHeaders:] },
	}
}

func TestContract(t *testing.T) {
	sources := []struct {
		name string
		make func(*testing.T) rig
	}{
		{"Fake", fakeRig},
		{"Reader", readerRig},
	}
	tests := []struct {
		name string
		run  func(*testing.T, rig)
	}{
		{"packets come in order with group and number", contractOrder},
		{"a group not listened to is silent", contractOtherGroup},
		{"payload holds until the next read", contractPayload},
		{"time is that of logging and monotonic", contractTime},
		{"close ends a blocked read", contractCloseBlocked},
		{"close goes before packets that are left", contractCloseLeft},
		{"close from many goroutines", contractCloseMany},
		{"stats while reading", contractStats},
	}
	for _, s := range sources {
		for _, tt := range tests {
			t.Run(s.name+"/"+tt.name, func(t *testing.T) { tt.run(t, s.make(t)) })
		}
	}
}

func contractOrder(t *testing.T, r rig) {
	var want, got []string
	seq := map[uint16]uint32{}
	for i := range 100 {
		group := uint16(5 + i%3%2)
		data := fmt.Sprintf("packet %d", i)
		want = append(want, fmt.Sprint(group, seq[group], data))
		seq[group]++
		r.log(group, []byte(data))
	}
	for range want {
		rec := read(t, r)
		got = append(got, fmt.Sprint(rec.Group, rec.Seq, string(r.data(rec))))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packets (-logged +read):\n%s", diff)
	}
	stats := r.Stats()
	stats.Datagrams = 0
	if diff := cmp.Diff(Stats{Packets: 100}, stats); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

func contractOtherGroup(t *testing.T, r rig) {
	r.log(7, []byte("for nobody"))
	r.log(5, []byte("for us"))
	if rec := read(t, r); rec.Group != 5 || string(r.data(rec)) != "for us" {
		t.Errorf("read %q of group %d", r.data(rec), rec.Group)
	}
}

func contractPayload(t *testing.T, r rig) {
	first, second := bytes.Repeat([]byte{1}, 100), bytes.Repeat([]byte{2}, 100)
	r.log(5, first)
	var rec Record
	if err := r.Read(&rec); err != nil {
		t.Fatal(err)
	}
	r.log(5, second)
	if got := r.data(rec); !bytes.Equal(got, first) {
		t.Errorf("payload after another packet was logged: %x", got)
	}
	kept := rec.Payload
	if err := r.Read(&rec); err != nil {
		t.Fatal(err)
	}
	if bytes.HasSuffix(kept, first) {
		t.Error("the fake does not overwrite the payload at the next read")
	}
}

func contractTime(t *testing.T, r rig) {
	// The kernel's timestamp is truncated to microseconds.
	before := time.Now().Add(-time.Microsecond)
	r.log(5, []byte("now"))
	rec := read(t, r)
	if after := time.Now(); rec.Time.Before(before) || rec.Time.After(after) {
		t.Errorf("time %v, logged between %v and %v", rec.Time, before, after)
	}
	if !strings.Contains(rec.Time.String(), "m=") {
		t.Errorf("time %v has no monotonic reading", rec.Time)
	}
}

func contractCloseBlocked(t *testing.T, r rig) {
	result := make(chan error)
	go func() {
		var rec Record
		result <- r.Read(&rec)
	}()
	waitBlocked(fmt.Sprintf("nflog.(%T).Read(", r.Source))
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-result; !errors.Is(err, os.ErrClosed) {
		t.Errorf("read: %v, want os.ErrClosed", err)
	}
	var rec Record
	if err := r.Read(&rec); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read afterwards: %v, want os.ErrClosed", err)
	}
}

// waitBlocked waits until a goroutine is blocked inside the function.
func waitBlocked(function string) {
	function = strings.ReplaceAll(function, "*nflog.", "*")
	buf := make([]byte, 1<<20)
	for {
		stacks := bytes.Split(buf[:runtime.Stack(buf, true)], []byte("\n\n"))
		if slices.ContainsFunc(stacks, func(stack []byte) bool {
			state, calls, _ := bytes.Cut(stack, []byte("\n"))
			return bytes.Contains(calls, []byte(function)) &&
				(bytes.Contains(state, []byte("[IO wait")) || bytes.Contains(state, []byte("[sync.Cond.Wait")))
		}) {
			return
		}
		runtime.Gosched()
	}
}

func contractCloseLeft(t *testing.T, r rig) {
	for range 3 {
		r.log(5, []byte("left"))
	}
	read(t, r)
	r.Close()
	rec := Record{Seq: 99}
	if err := r.Read(&rec); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read: %v, want os.ErrClosed", err)
	}
	if rec.Seq != 99 {
		t.Error("the failed read wrote a record")
	}
}

func contractCloseMany(t *testing.T, r rig) {
	var wg sync.WaitGroup
	wg.Go(func() {
		var rec Record
		if err := r.Read(&rec); !errors.Is(err, os.ErrClosed) {
			t.Errorf("read: %v, want os.ErrClosed", err)
		}
	})
	for range 8 {
		wg.Go(func() {
			for range 2 {
				if err := r.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func contractStats(t *testing.T, r rig) {
	const packets = 1000
	var wg sync.WaitGroup
	wg.Go(func() {
		for last := uint64(0); last < packets; {
			now := r.Stats().Packets
			if now < last {
				t.Errorf("%d packets after %d", now, last)
				return
			}
			last = now
		}
	})
	for i := range packets {
		r.log(5, numbered(i, 8))
		read(t, r)
	}
	wg.Wait()
	if got := r.Stats(); got.Packets != packets || got.Lost != 0 || got.Datagrams == 0 {
		t.Errorf("stats: %+v", got)
	}
}

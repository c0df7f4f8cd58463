package spent

import (
	"fmt"
	"testing"
	"time"
)

func TestLostTokensAreForgottenWithTheirTime(t *testing.T) {
	var l lost
	lose := func(access string, n int, expires time.Time) {
		l.add(Entry{Token: token(n), Expires: expires, Access: access}, epoch)
	}
	refusal := func(access string, n int, expires time.Time) error {
		return l.refusal(Entry{Token: token(n), Expires: expires, Access: access})
	}
	past, future := epoch.Add(-time.Minute), epoch.Add(time.Minute)
	for i := range maxLostPerAccess {
		lose("ssh", i, past)
	}
	lose("http", 5000, past)
	lose("ssh", 6000, future) // now there is no room, and what is past is forgotten
	lose("ssh", 6001, time.Time{})
	if l.total != 2 || len(l.shares) != 1 {
		t.Errorf("%d tokens of %d accesses, want 2 of 1", l.total, len(l.shares))
	}
	wantErr(t, refusal("ssh", 1, past), nil)
	wantErr(t, refusal("ssh", 6000, future), ErrSpent)
	wantErr(t, refusal("ssh", 6001, time.Time{}), ErrSpent)
	wantErr(t, refusal("http", 6001, time.Time{}), ErrSpent)
}

// Where there is no room for one more lost token, a time takes its place, and for
// its access alone.
func TestMoreLostThanThereIsRoomFor(t *testing.T) {
	for name, fill := range map[string]func(*lost){
		"of the access": func(l *lost) {
			for i := range maxLostPerAccess {
				l.add(Entry{Token: token(i), Access: "ssh"}, epoch)
			}
		},
		"at all": func(l *lost) {
			for i := range maxLost {
				l.add(Entry{Token: token(i), Access: fmt.Sprint(i / 1000)}, epoch)
			}
		},
	} {
		var l lost
		fill(&l)
		before := l.total
		ssh := func(n int, after time.Duration) Entry {
			return Entry{Token: token(n), Expires: epoch.Add(after), Access: "ssh"}
		}
		l.add(ssh(-1, 2*time.Minute), epoch)
		l.add(ssh(-2, time.Minute), epoch)
		eternal := Entry{Token: token(-3), Access: "ssh"}
		wantErr(t, l.refusal(eternal), nil)
		if l.total != before {
			t.Errorf("%s: %d tokens, want %d", name, l.total, before)
		}
		for _, e := range []Entry{ssh(-1, 2*time.Minute), ssh(-2, time.Minute), ssh(-4, 2*time.Minute)} {
			wantErr(t, l.refusal(e), errLost)
		}
		wantErr(t, l.refusal(ssh(-5, 3*time.Minute)), nil)
		other := ssh(-6, time.Minute)
		other.Access = "http"
		wantErr(t, l.refusal(other), nil)
		l.add(eternal, epoch)
		wantErr(t, l.refusal(eternal), errLost)
	}
}

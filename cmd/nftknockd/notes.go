package main

import (
	"errors"
	"sync"
	"time"

	"nftknock/pkg/policy"
	"nftknock/pkg/trial"
)

// notes writes the daemon's notes about trials into the state directory. It implements
// daemon.Notes.
type notes struct {
	file, dir string        // the policy, the state directory
	guard     time.Duration // of the note of a first policy
	mu        sync.Mutex    // one change at a time
}

// Begin implements daemon.Notes.
func (n *notes) Begin(first bool) (cancel func() error, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	digest, err := policy.FileDigest(n.file)
	if err != nil {
		return nil, err
	}
	before, err := trial.Read(n.dir)
	if err != nil {
		return nil, err
	}
	note := trial.Note{Policy: digest, First: first}
	if first {
		note.Guard = n.guard
	}
	return func() error { return n.restore(before) }, trial.Write(n.dir, note)
}

// restore writes the note that was there before, nil for none.
func (n *notes) restore(before *trial.Note) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if before == nil {
		return trial.Remove(n.dir)
	}
	return trial.Write(n.dir, *before)
}

// Confirm implements daemon.Notes.
func (n *notes) Confirm() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return trial.Remove(n.dir)
}

// A start is what the notes say about the start of a daemon.
type start struct {
	guard time.Duration // of a first policy; 0 for a policy that is not on trial
	noted bool          // there is a note
}

// errUndone is the error of a first policy, and errUnconfirmed that of another one, that was on
// trial when an earlier daemon ended, and that nobody has confirmed.
var (
	errUndone      = errors.New("the policy was on trial, and nobody confirmed it: nothing is hidden")
	errUnconfirmed = errors.New("it was on trial, and nobody confirmed it before the daemon ended")
)

// readStart reads the note about the policy in a file. guard is what the command line asks
// for. The error is errUndone, errUnconfirmed, or says why nobody knows whether the policy was
// confirmed.
func readStart(file, dir string, guard time.Duration) (start, error) {
	note, err := trial.Read(dir)
	if err != nil {
		return start{}, err
	}
	if guard != 0 || note == nil {
		return start{guard: guard, noted: note != nil}, nil
	}
	digest, err := policy.FileDigest(file)
	if err != nil {
		return start{}, err
	}
	s := start{noted: true}
	switch same := digest == note.Policy; {
	case note.First && (note.Prepared || !same):
		// Until a first policy is confirmed, every start with another one is a trial.
		s.guard = note.Guard
		return s, nil
	case !same:
		return s, nil // corrected since
	case note.First:
		return s, errUndone
	}
	return s, errUnconfirmed
}

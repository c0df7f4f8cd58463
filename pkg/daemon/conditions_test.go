package daemon

import (
	"sync"
	"testing"
	"time"
)

func TestConditions(t *testing.T) {
	var c conditions
	if l := c.list(); len(l) != 0 {
		t.Errorf("at first: %v", l)
	}
	c.clear(conditionStore)
	before := time.Now()
	c.set(conditionStore, "the disk is full")
	first := c.list()[0].Since
	if first.Before(before) || first.After(time.Now()) {
		t.Errorf("since %v, set after %v", first, before)
	}
	c.set(conditionNFLog, "group 5 is taken")
	c.set(conditionStore, "the disk hangs")
	l := c.list()
	if len(l) != 2 || l[0].Name != conditionStore || l[0].Text != "the disk hangs" || !l[0].Since.Equal(first) || l[1].Name != conditionNFLog {
		t.Errorf("with two conditions: %+v", l)
	}
	c.clear(conditionStore)
	if l := c.list(); len(l) != 1 || l[0].Name != conditionNFLog {
		t.Errorf("after one was cleared: %+v", l)
	}
	c.set(conditionStore, "the disk is full")
	if l := c.list(); len(l) != 2 || l[1].Since.Before(l[0].Since) || !l[1].Since.After(first) {
		t.Errorf("what comes again has the time of before: %+v", l)
	}
}

// Goroutines set, clear and list at the same time: for the race detector.
func TestConditionsFromManyGoroutines(t *testing.T) {
	var (
		c  conditions
		wg sync.WaitGroup
	)
	for range 8 {
		wg.Go(func() {
			for range 100 {
				c.set(conditionTable, "x")
				c.list()
				c.clear(conditionTable)
			}
		})
	}
	wg.Wait()
	if l := c.list(); len(l) != 0 {
		t.Errorf("at the end: %v", l)
	}
}

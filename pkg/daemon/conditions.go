package daemon

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"nftknock/pkg/control"
)

// Names of conditions.
const (
	conditionPolicy     = "policy"     // another policy is in force than the one in the files
	conditionNFLog      = "nflog"      // a group cannot be opened: no knock is heard
	conditionStore      = "store"      // the store of spent tokens is not usable
	conditionInterfaces = "interfaces" // an interface is missing, or the list cannot be read
	conditionTable      = "table"      // the table cannot be written or repaired
	conditionControl    = "control"    // the control socket does not work
	conditionKept       = "kept"       // the policy in force is not kept as the last one that worked
	conditionAccesses   = "accesses"   // no knock opens some accesses: their keys are missing
	conditionSets       = "sets"       // a set of another table cannot take grants
	conditionMetrics    = "metrics"    // the metrics cannot be served
	conditionGuard      = "guard"      // a policy is on trial, and is undone unless someone confirms it
)

// allConditions are the names of all conditions.
var allConditions = []string{
	conditionPolicy, conditionNFLog, conditionStore, conditionInterfaces, conditionTable, conditionControl, conditionKept,
	conditionAccesses, conditionSets, conditionMetrics, conditionGuard,
}

// conditions is what is wrong with the daemon at the moment, one text per name. Its methods
// may be called from any goroutine, and wait for nothing but each other.
type conditions struct {
	mu  sync.Mutex
	now map[string]control.Condition
}

// set says that something is wrong. A condition that is there already keeps its time, and
// gets the new text.
func (c *conditions) set(name, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := time.Now()
	if old, ok := c.now[name]; ok {
		since = old.Since
	}
	if c.now == nil {
		c.now = make(map[string]control.Condition)
	}
	c.now[name] = control.Condition{Name: name, Since: since, Text: text}
}

// clear says that what was wrong is right again, or does nothing if nothing was wrong.
func (c *conditions) clear(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.now, name)
}

// list returns the conditions, the oldest first.
func (c *conditions) list() []control.Condition {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]control.Condition, 0, len(c.now))
	for _, condition := range c.now {
		list = append(list, condition)
	}
	slices.SortFunc(list, func(a, b control.Condition) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// has reports whether something is wrong.
func (c *conditions) has(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.now[name]
	return ok
}

package control

import "time"

// A Condition is something that is wrong with the daemon now.
type Condition struct {
	Name  string    `json:"name"`  // what is wrong, as one word: "policy", "nflog", "store", ...
	Since time.Time `json:"since"` // since when
	Text  string    `json:"text"`  // a sentence: what is wrong, and what follows from it
}

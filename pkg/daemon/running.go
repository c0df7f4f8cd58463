package daemon

import (
	"context"
	"crypto/rand"
	"encoding/json"

	"nftknock/pkg/control"
)

// Running implements control.Handler. It waits for no other goroutine. The salt is another one
// each time, so that prints of different moments tell nothing together.
func (d *Daemon) Running(context.Context, control.PolicyQuery) (control.Running, error) {
	salt := make([]byte, 32)
	rand.Read(salt) // never returns an error: it crashes the program instead
	text, err := json.Marshal(d.keeper.plan().Print(salt))
	return control.Running{Print: text}, err
}

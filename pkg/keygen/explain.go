package keygen

import (
	"cmp"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"text/template"
)

// Side is whose program makes the key.
type Side uint8

// The two sides of a knock.
const (
	Server Side = iota
	Client
)

// explanation says what to do with a key. What is in it is complete: pasted as
// it is, it is a policy's access and a client's host.
var explanation = template.Must(template.New("").Funcs(template.FuncMap{"quote": quote}).Parse(`
{{- if .TOTP}}# The secret belongs into a file on the server, and into a phone or a file of the
# client, and nowhere else.
{{- else}}# The key belongs into a file on both sides, on each readable by one user alone
# (chmod 600), and nowhere else.
{{- end}}
#
# The server's policy, /etc/nftknock/conf.d/ssh.toml:
[[access]]
name = "ssh"
knock = "{{.Knock}}"
{{- if .SHA256}}
algorithm = "sha256"
{{- end}}
key_file = {{quote .ServerKey}}
{{- if .HMAC}}
hmac_key_file = {{quote .ServerKey ".hmac"}}
{{- end}}
open = ["tcp/22"]

# The client's hosts, ~/.config/nftknock/hosts.toml
{{- if .TOTP}} (without key_file, nftknock asks for the code){{end}}:
["ssh.example.org"]
knock = "{{.Knock}}"
{{- if .SHA256}}
algorithm = "sha256"
{{- end}}
key_file = {{quote .ClientKey}}
{{- if .HMAC}}
hmac_key_file = {{quote .ClientKey ".hmac"}}
{{- end}}
{{- if not .TOTP}}
open = "tcp/22"
{{- end}}
`))

// quote joins parts to a string of TOML, which those of JSON are.
func quote(parts ...string) (string, error) {
	b, err := json.Marshal(strings.Join(parts, ""))
	return string(b), err
}

// explain prints the explanation for a key that was made on a side.
func (o *Options) explain(side Side, w io.Writer) error {
	path, err := filepath.Abs(o.Output)
	if err != nil {
		return err
	}
	if o.Output == "" {
		path = ""
	}
	e := struct {
		Knock, ServerKey, ClientKey string
		TOTP, HMAC, SHA256          bool
	}{
		Knock: "encrypted", ServerKey: "/etc/nftknock/keys/ssh", ClientKey: "ssh.key",
		TOTP: o.TOTP, HMAC: o.HMAC, SHA256: o.TOTP && o.Algorithm.String() == "sha256",
	}
	switch {
	case o.TOTP:
		e.Knock = "totp"
	case o.HMAC:
		e.Knock = "spa"
	}
	if side == Server {
		e.ServerKey = cmp.Or(path, e.ServerKey)
	} else {
		e.ClientKey = cmp.Or(path, e.ClientKey)
	}
	return explanation.Execute(w, e)
}

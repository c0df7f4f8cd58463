package keygen

import (
	"cmp"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"text/template"
)

// explanation says what to do with a key. Its parts are complete: pasted as they
// are, they are an access of a policy and a host of a client.
var explanation = template.Must(template.New("").Funcs(template.FuncMap{"quote": quote}).Parse(`
{{- if .TOTP}}# The secret belongs in a file on the server and in the phone, or in a file of the
# client, and nowhere else.
{{- else}}# The key belongs in a file on each side that only one user can read (chmod 600),
# and nowhere else.
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

// quote joins parts and writes them as a string of TOML, which a string of JSON is
// too.
func quote(parts ...string) (string, error) {
	b, err := json.Marshal(strings.Join(parts, ""))
	return string(b), err
}

// explain prints what to do with the key.
func (o *Options) explain(w io.Writer) error {
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
	if o.Side == Server {
		e.ServerKey = cmp.Or(path, e.ServerKey)
	} else {
		e.ClientKey = cmp.Or(path, e.ClientKey)
	}
	return explanation.Execute(w, e)
}

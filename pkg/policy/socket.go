package policy

import "time"

// ControlSocket returns the control socket that the main file at path sets, or the default one. It
// looks at nothing else: whether the policy is sound is for the daemon to say. With
// diagnostics, which are errors then, the socket is unknown and the string is the default.
func ControlSocket(path string) (string, Diagnostics) {
	c := defaults().Control
	l := newLoader(time.Now(), nil)
	data, err := readFile(path)
	if err != nil {
		l.unread(path, err, "")
		return c.Socket, l.diags
	}
	root := l.parse(path, data)
	if root == nil {
		return c.Socket, l.diags
	}
	readSocket(root.section("control"), &c)
	if l.diags.HasErrors() {
		return defaults().Control.Socket, l.diags
	}
	return c.Socket, nil
}

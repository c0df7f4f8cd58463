package p0f

import (
	"regexp"
	"testing"
)

func TestLabelSatisfies(t *testing.T) {
	linux := Label{OS, "linux", "Linux", "4.19 or newer"}
	stack := Label{Stack, "lwip", "lwIP", "(a user-space or embedded stack on linux)"}
	dotted := Label{Stack, "stack 2.1", "Stack 2.1", ""}
	tests := []struct {
		name     string
		label    Label
		required string
		want     bool
	}{
		{"system named", linux, "linux", true},
		{"system by anything", linux, ".", true},
		{"another system", linux, "windows", false},
		{"tool named", Label{Tool, "zmap", "ZMap", "as Linux"}, "linux|zmap", false},
		{"tool by anything", Label{Tool, "zmap", "ZMap", ""}, ".", false},
		{"proxy named", Label{Proxy, "squid", "Squid", "on Linux"}, "squid", false},
		{"proxy by anything", Label{Proxy, "squid", "Squid", "on Linux"}, ".", false},
		{"stack named", stack, "lwip", true},
		{"stack among others", stack, "linux|lwip", true},
		{"stack anchored", stack, "^LWIP", true},
		{"stack by a part of its name", stack, "lwi", false},
		{"stack by anything", stack, ".", false},
		{"stack by its flavour", stack, "linux", false},
		{"stack by its kind", stack, "stack", false},
		{"another stack", stack, "smoltcp", false},
		{"stack named, and something else with it", stack, "lwip on windows", false},
		{"stack with a point in its name", dotted, "stack 2.1", true},
		{"stack with a point quoted", dotted, `stack 2\.1`, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.label.Satisfies(regexp.MustCompile("(?i)" + test.required)); got != test.want {
				t.Errorf("%v, %q required: %v", test.label, test.required, got)
			}
		})
	}
}

// No requirement that names a system, or that everything matches, lets in a sender of
// another class.
func TestOnlySystemsSatisfyCommonRequirements(t *testing.T) {
	for _, required := range []string{".", ".*", "^", "linux", "android", "windows", "macos|ios", "mac", "bsd", "solaris", "[a-z]", "a", "10"} {
		expression := regexp.MustCompile("(?i)" + required)
		for _, l := range Builtin().Labels() {
			if l.Class != OS && l.Satisfies(expression) {
				t.Errorf("%v %q satisfies %q", l.Class, l, required)
			}
		}
	}
}

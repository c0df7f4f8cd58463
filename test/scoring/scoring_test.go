package scoring

import "testing"

func TestJudge(t *testing.T) {
	linux := func(confidence string) Answer { return Answer{"os", confidence, "linux"} }
	for _, test := range []struct {
		name   string
		answer Answer
		want   string
		is     Verdict
	}{
		{"exact", linux("exact"), "linux", Right},
		{"generic", linux("family"), "linux", Generic},
		{"low", linux("low"), "linux", Low},
		{"nothing known of the sender", linux("exact"), "", Right},
		{"nothing known, low", linux("low"), "", Low},
		{"another family", linux("exact"), "windows", Wrong},
		{"another family, generic", linux("family"), "windows", Wrong},
		{"another family, low", linux("low"), "windows", WrongAtLow},
		{"no answer", Answer{Class: "os", Confidence: "none"}, "linux", Unknown},
		{"a tool", Answer{"tool", "exact", "zmap"}, ToolLabel, Tool},
		{"a tool with low confidence", Answer{"tool", "low", "zmap"}, "linux", Tool},
		{"a tool taken for a system", linux("exact"), ToolLabel, Wrong},
		{"a proxy", Answer{"proxy", "exact", "proxy"}, "apple", Proxy},
		{"a stack", Answer{"stack", "exact", "lwip"}, "embedded", Proxy},
		{"a proxy taken for a system", linux("low"), ProxyLabel, WrongAtLow},
	} {
		if got := Judge(test.answer, test.want); got != test.is {
			t.Errorf("%s: %v, want %v", test.name, got, test.is)
		}
	}
}

func TestJudgeP0f(t *testing.T) {
	for _, test := range []struct {
		name         string
		row          P0fRow
		family, want string
		is           Verdict
	}{
		{"specific", P0fRow{"os", "Linux 3.x", "none", "4:"}, "linux", "linux", Right},
		{"generic", P0fRow{"os", "Linux 3.x", "generic", "4:"}, "linux", "linux", Generic},
		{"fuzzy", P0fRow{"os", "Linux 3.x", "fuzzy", "4:"}, "linux", "", Generic},
		{"wrong", P0fRow{"os", "Linux 3.x", "none", "4:"}, "linux", "apple", Wrong},
		{"unknown", P0fRow{"os", "???", "none", "4:"}, "", "apple", Unknown},
		{"no kind", P0fRow{"none", "", "", "4:"}, "", "apple", Unknown},
		{"silent", P0fRow{}, "", "apple", Silent},
	} {
		how, _ := test.row.How()
		if got := JudgeP0f(how, test.family, test.want); got != test.is {
			t.Errorf("%s: %v, want %v", test.name, got, test.is)
		}
	}
}

func TestTable(t *testing.T) {
	table := NewTable("linux")
	table.Add(SYN{Number: 3, Version: 4, Year: 2020, Want: "linux", Ours: Right, P0f: Silent})
	table.Add(SYN{Number: 2, Version: 6, Year: 2018, Want: "bsd", Ours: WrongAtLow, P0f: Silent})
	table.Add(SYN{Number: 1, Version: 6, Year: 2018, Ours: Proxy, P0f: Silent})
	const want = `| SYNs | number | right | generic | low | unknown | wrong | wrong at low | tool | proxy |
|---|---|---|---|---|---|---|---|---|---|
| Linux, IPv4 | 3 | 3 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |
| Linux, IPv6 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |
| BSD, IPv6 | 2 | 0 | 0 | 0 | 0 | 0 | 2 | 0 | 0 |
| all with evidence | 5 | 3 | 0 | 0 | 0 | 0 | 2 | 0 | 0 |
| all, IPv4 | 3 | 3 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |
| all, IPv6 | 3 | 0 | 0 | 0 | 0 | 0 | 2 | 0 | 1 |
| all | 6 | 3 | 0 | 0 | 0 | 0 | 2 | 0 | 1 |
| all since 2019 | 3 | 3 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |
`
	if got := table.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := table.Row(All).Ours.Share(Right, Proxy); got < 66.6 || got > 66.7 {
		t.Errorf("share of right and proxy: %v %%", got)
	}
}

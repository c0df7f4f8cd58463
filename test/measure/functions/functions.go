// Package functions reads Go source files and measures the functions in them.
package functions

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// Function is one function or method with a body. A function literal belongs
// to the function around it.
type Function struct {
	Name       string // "Parse", "(*Engine).Handle"
	File       string
	Line       int // where the declaration begins, without its doc comment
	Doc        string
	Lines      int // of the declaration, from func to the closing brace
	Body       int // lines between the braces; 0 for a function on one line
	Comments   int // lines of Body that have a comment
	Parameters int // without the receiver
}

// In returns the functions of all Go files in dir but its tests, whatever
// their build constraints, in the order of files and lines.
func In(dir string) ([]Function, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []Function
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		list, err := inFile(filepath.Join(dir, name), nil)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// inFile measures one file. source is its text; nil reads the file.
func inFile(path string, source any) ([]Function, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	line := func(p token.Pos) int { return set.Position(p).Line }
	var all []Function
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		first, last := line(fn.Body.Lbrace), line(fn.Body.Rbrace)
		all = append(all, Function{
			Name:       nameOf(fn),
			File:       path,
			Line:       line(fn.Pos()),
			Doc:        fn.Doc.Text(),
			Lines:      last - line(fn.Pos()) + 1,
			Body:       max(last-first-1, 0),
			Comments:   commentLines(file.Comments, line, first, last),
			Parameters: fn.Type.Params.NumFields(),
		})
	}
	return all, nil
}

// nameOf writes a method as its users call it, without type parameters.
func nameOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	receiver, pointer := fn.Recv.List[0].Type, ""
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver, pointer = star.X, "*"
	}
	switch generic := receiver.(type) {
	case *ast.IndexExpr:
		receiver = generic.X
	case *ast.IndexListExpr:
		receiver = generic.X
	}
	name := receiver.(*ast.Ident).Name // nothing else compiles
	if pointer != "" {
		return "(*" + name + ")." + fn.Name.Name
	}
	return name + "." + fn.Name.Name
}

// commentLines counts the lines between first and last, both excluded, that
// have a comment on them.
func commentLines(groups []*ast.CommentGroup, line func(token.Pos) int, first, last int) int {
	n := 0
	for _, group := range groups {
		if begin, end := line(group.Pos()), line(group.End()); begin > first && end < last {
			n += end - begin + 1
		}
	}
	return n
}

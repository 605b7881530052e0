package pickle

import (
	"reflect"
	"slices"
)

// Children are the values that v holds itself.
func Children(v Value) []Value {
	switch v := v.(type) {
	case *List:
		return v.Items
	case *Tuple:
		return v.Items
	case *Set:
		return v.Items
	case *Dict:
		return flat(nil, v.Pairs)
	case *Object:
		out := append(slices.Clip(v.Args), v.Items...)
		out = flat(out, v.Pairs)
		if v.State != nil {
			out = append(out, v.State)
		}
		return out
	case DateTime:
		if v.Zone != nil {
			return []Value{v.Zone}
		}
	case Time:
		if v.Zone != nil {
			return []Value{v.Zone}
		}
	}
	return nil
}

func flat(out []Value, pairs []Pair) []Value {
	out = slices.Grow(out, 2*len(pairs))
	for _, p := range pairs {
		out = append(out, p.Key, p.Value)
	}
	return out
}

// identity is what tells a shared value from another one; 0 where sharing does not matter.
func identity(v Value) uintptr {
	switch v.(type) {
	case *List, *Tuple, *Set, *Dict, *Object:
		return reflect.ValueOf(v).Pointer()
	}
	return 0
}

// Walk calls visit for v and for everything in it, each shared value once, holders first. Where visit returns false, what
// that value holds is left out.
func Walk(v Value, visit func(Value) bool) {
	seen := make(map[uintptr]bool)
	todo := []Value{v}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if id := identity(v); id != 0 {
			if seen[id] {
				continue
			}
			seen[id] = true
		}
		if !visit(v) {
			continue
		}
		children := Children(v)
		for i := len(children) - 1; i >= 0; i-- {
			todo = append(todo, children[i])
		}
	}
}

// within says whether v is nested at most that deep. A value that holds itself counts once.
func within(v Value, most int) bool {
	depths := make(map[uintptr]int) // of what is known; 0 while it is being measured
	return depthOf(v, most, depths) <= most
}

// depthOf is the depth of v, or more than most. It goes no deeper than that.
func depthOf(v Value, most int, depths map[uintptr]int) int {
	switch t := v.(type) {
	case DateTime:
		return depthOf(t.Zone, most, depths)
	case Time:
		return depthOf(t.Zone, most, depths)
	}
	id := identity(v)
	switch {
	case id == 0:
		return 0
	case most < 0:
		return 1
	}
	if d, known := depths[id]; known {
		return d
	}
	depths[id] = 0
	deepest := 0
	for _, child := range Children(v) {
		deepest = max(deepest, depthOf(child, most-1, depths))
		if deepest > most-1 {
			break
		}
	}
	depths[id] = deepest + 1
	return deepest + 1
}

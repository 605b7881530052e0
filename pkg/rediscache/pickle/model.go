package pickle

// Model is an instance of a Django model inside of a value.
type Model struct {
	Class   string // "app_label.ObjectName", or the class where an old Django wrote that
	Version string // _django_version: of the Django that wrote it; "" where it does not say
	Object  *Object
}

// Label is the model as the application's registry has it, and false for what is no instance of a model, or does not say
// which one by its label.
func (m Model) Label() (app, name string, ok bool) {
	if m.Object.Class != modelUnpickle || len(m.Object.Args) == 0 {
		return "", "", false
	}
	id, ok := m.Object.Args[0].(*Tuple)
	if !ok || len(id.Items) != 2 {
		return "", "", false
	}
	label, okApp := id.Items[0].(Str)
	object, okName := id.Items[1].(Str)
	return string(label), string(object), okApp && okName
}

// VersionKey is where Django keeps its version in the state of what it pickles.
const VersionKey = "_django_version"

// Models lists the model instances in v and everything else that carries the version of Django, such as a QuerySet.
func Models(v Value) []Model {
	var out []Model
	versions := make(map[*Dict]string) // a state can be shared by very many objects
	Walk(v, func(v Value) bool {
		if o, ok := v.(*Object); ok {
			state, _ := o.State.(*Dict)
			version, known := versions[state]
			if !known {
				version = o.version()
				versions[state] = version
			}
			if version != "" || o.Class == modelUnpickle {
				out = append(out, Model{o.label(), version, o})
			}
		}
		return true
	})
	return out
}

// Model says which model o is an instance of, and false when it is none.
func (o *Object) Model() (Model, bool) {
	m := Model{o.label(), o.version(), o}
	return m, m.Version != "" || o.Class == modelUnpickle
}

func (o *Object) version() string {
	if state, ok := o.State.(*Dict); ok {
		if version, ok := state.Get(VersionKey).(Str); ok {
			return string(version)
		}
	}
	return ""
}

// label is the class, of a model its label.
func (o *Object) label() string {
	if o.Class == modelUnpickle && len(o.Args) > 0 {
		switch id := o.Args[0].(type) {
		case *Tuple:
			if len(id.Items) == 2 {
				label, _ := id.Items[0].(Str)
				name, _ := id.Items[1].(Str)
				return string(label) + "." + string(name)
			}
		case Class:
			return id.String()
		}
	}
	return o.Class.String()
}

var modelUnpickle = Class{"django.db.models.base", "model_unpickle"}

// Classes lists the classes of everything in v that has no type of its own in this package, each once, in the order in
// which they come. For a model that is its label, not Django's function that makes it.
func Classes(v Value) []string {
	var out []string
	seen := make(map[string]bool)
	Walk(v, func(v Value) bool {
		name := ""
		switch v := v.(type) {
		case Class:
			name = v.String()
		case *Object:
			name = v.label()
		}
		if name != "" && !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
		return true
	})
	return out
}

// NewModel is a model instance as Django pickles it: Python makes it without calling __init__ and sets fields, the
// values by attribute name, upon it. database is the alias that it was read from, version that of the Django that reads
// it again.
func NewModel(appLabel, objectName, database, version string, fields []Pair) *Object {
	state := &Object{Class: Class{"django.db.models.base", "ModelState"}, State: &Dict{[]Pair{
		{Str("adding"), Bool(false)}, {Str("db"), Str(database)}, {Str("fields_cache"), &Dict{}},
	}}}
	pairs := append(make([]Pair, 0, len(fields)+2), Pair{Str("_state"), state})
	pairs = append(pairs, fields...)
	pairs = append(pairs, Pair{Str(VersionKey), Str(version)})
	return &Object{
		Class: modelUnpickle,
		Args:  []Value{&Tuple{[]Value{Str(appLabel), Str(objectName)}}},
		State: &Dict{pairs},
	}
}

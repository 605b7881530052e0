package restore

// WithoutExchange makes a restore of files do as on a file system that cannot exchange two names in one step.
func WithoutExchange(o MediaOptions) MediaOptions {
	o.twoRenames = true
	return o
}

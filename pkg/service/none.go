package service

import "context"

// none is for hosts where nothing is to be stopped.
type none struct{}

func (none) Name() string { return None }

func (none) targets([]string) ([]string, error) { return nil, nil }

func (none) State(ctx context.Context, _ string) (State, error) { return Unknown, context.Cause(ctx) }
func (none) Start(context.Context, string) error                { return ErrUntouched }
func (none) Stop(context.Context, string) error                 { return ErrUntouched }

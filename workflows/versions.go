package workflows

// Each change that alters the commands of a running workflow has a name here
// and a call of workflow.GetVersion where it branches, and adds a history to
// testsuite/histories. There is none yet: the first release is the baseline.

using Xunit;

// Each test has one machine, which keeps a core or two of the host busy: two at a time are enough for any host.
[assembly: CollectionBehavior(MaxParallelThreads = 2)]

// Each test has the machine's cores to itself, as far as this assembly can see to it.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

using System.Reflection;
using Xunit.Sdk;
using Xunit.v3;

namespace C10kServer.Faults.Tests;

/// <summary>Rows of a theory: a call, each of its errors, and each of the three schedules.</summary>
[AttributeUsage(AttributeTargets.Method, AllowMultiple = true)]
public sealed class RowsAttribute(string call, params Error[] errors) : DataAttribute
{
    public string Call { get; } = call;

    public IReadOnlyList<Error> Errors { get; } = errors;

    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo testMethod, DisposalTracker disposalTracker) =>
        new([.. from error in Errors from when in Enum.GetValues<When>() select new TheoryDataRow<string, Error, When>(Call, error, when)]);

    public override bool SupportsDiscoveryEnumeration() => true;
}

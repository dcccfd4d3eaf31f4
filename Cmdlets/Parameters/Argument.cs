using System.Collections;
using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>What the transformations of arguments have in common.</summary>
internal static class Argument
{
    /// <summary>The object without the shell's wrapping.</summary>
    internal static object? Unwrap(object? value) => value is PSObject wrapped ? wrapped.BaseObject : value;

    /// <summary>Each of the values of an array parameter, also where there is only one and no array.</summary>
    internal static IEnumerable<object?> Each(object? value) =>
        Unwrap(value) is IEnumerable values and not string ? values.Cast<object?>() : [value];
}

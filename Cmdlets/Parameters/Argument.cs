using System.Collections;
using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>Helpers that the argument transformations share.</summary>
internal static class Argument
{
    /// <summary>The object without the shell's wrapping.</summary>
    internal static object? Unwrap(object? value) => value is PSObject wrapped ? wrapped.BaseObject : value;

    /// <summary>The values of an array parameter. A single value that is not an array is returned as one value.</summary>
    internal static IEnumerable<object?> Each(object? value) =>
        Unwrap(value) is IEnumerable values and not string ? values.Cast<object?>() : [value];
}

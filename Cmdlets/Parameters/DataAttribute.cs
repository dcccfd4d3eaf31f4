using System.Collections;
using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>Turns a single byte into an array, and marks a value that is neither text nor a sequence.</summary>
/// <remarks>
/// An exception here would end PowerShell's search for the parameter that an unnamed argument belongs to. If a number were left unchanged,
/// PowerShell would turn it into a sequence of one element, and 65 would be sent as the letter A. The mark is not a sequence, so PowerShell
/// refuses it and shows its text.
/// </remarks>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class DataAttribute : ArgumentTransformationAttribute
{
    /// <summary>Turns a byte into an array that contains it.</summary>
    /// <param name="engineIntrinsics">Not used.</param>
    /// <param name="inputData">The argument as given.</param>
    /// <returns>A byte[] for a byte, the unchanged argument for text and sequences, and a mark around everything else.</returns>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData) => Argument.Unwrap(inputData) switch
    {
        byte single => new[] { single },
        null or IEnumerable => inputData,
        object other => new NotData(other),
    };

    private sealed class NotData(object value)
    {
        public override string ToString() =>
            $"{DisplayText.Text(value)} ({value.GetType().Name}), which is neither text nor bytes; quote it to send it as text, or give [byte[]],";
    }
}

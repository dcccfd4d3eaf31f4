using System.Collections;
using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>Makes an array of a single byte, and marks what is neither text nor a sequence.</summary>
/// <remarks>
/// An exception here would end PowerShell's search for the parameter that an argument without a name belongs to. Left as it is, a number would
/// become a sequence of one, and 65 be sent as the letter A. The mark is not a sequence, so PowerShell refuses it and shows its text.
/// </remarks>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class DataAttribute : ArgumentTransformationAttribute
{
    /// <summary>Turns a byte into an array of it.</summary>
    /// <param name="engineIntrinsics">Not used.</param>
    /// <param name="inputData">What was given.</param>
    /// <returns>A byte[] for a byte; text and sequences as they were given; a mark around everything else.</returns>
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

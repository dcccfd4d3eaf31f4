using System.Collections;
using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>Reads what is to be sent: a string stays one, and everything that is plainly bytes becomes an array of them.</summary>
/// <remarks>The shell turns a byte[] that came out of a pipeline into an object[], and its bytes may be whole numbers by then.</remarks>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class DataAttribute : ArgumentTransformationAttribute
{
    /// <summary>Turns what was given into a string or a byte[].</summary>
    /// <param name="engineIntrinsics">Not used.</param>
    /// <param name="inputData">What was given.</param>
    /// <returns>A string or a byte[].</returns>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData) => Argument.Unwrap(inputData) switch
    {
        string text => text,
        byte[] bytes => bytes,
        byte single => new[] { single },
        IEnumerable values => values.Cast<object?>().Select(Read).ToArray(),
        object other => throw new ArgumentTransformationMetadataException(
            $"'{other}' ({other.GetType().Name}) is neither text nor bytes. Quote it to send it as text, or give [byte[]]."),
        null => throw new ArgumentTransformationMetadataException("There is nothing to send: -Data is a string, or bytes."),
    };

    private static byte Read(object? value)
    {
        try
        {
            return ByteList.ReadByte(value);
        }
        catch (ArgumentException e)
        {
            throw new ArgumentTransformationMetadataException(e.Message, e);
        }
    }
}

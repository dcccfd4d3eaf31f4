using System.Globalization;
using System.Management.Automation;
using System.Text;

namespace C10kServer.Parameters;

/// <summary>
/// Reads an encoding: an Encoding object, a name that the shell's own cmdlets know, another name that .NET knows, or a code page.
/// </summary>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class EncodingAttribute : ArgumentTransformationAttribute
{
    /// <summary>UTF-8 without a byte order mark, because nobody expects such a mark in the middle of a stream.</summary>
    internal static readonly Encoding Utf8 = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);

    /// <summary>The encodings by the names that the shell's own cmdlets use.</summary>
    internal static readonly IReadOnlyDictionary<string, Encoding> Names =
        new SortedDictionary<string, Encoding>(StringComparer.OrdinalIgnoreCase)
        {
            ["ascii"] = Encoding.ASCII,
            ["bigendianunicode"] = Encoding.BigEndianUnicode,
            ["latin1"] = Encoding.Latin1,
            ["unicode"] = Encoding.Unicode,
            ["utf8"] = Utf8,
            ["utf8NoBOM"] = Utf8,
            ["utf32"] = Encoding.UTF32,
        };

    /// <summary>Turns the argument into an encoding.</summary>
    /// <param name="engineIntrinsics">Not used.</param>
    /// <param name="inputData">The argument as given.</param>
    /// <returns>An Encoding.</returns>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData)
    {
        object? value = Argument.Unwrap(inputData);
        try
        {
            return value switch
            {
                Encoding encoding => encoding,
                string name when Names.TryGetValue(name, out Encoding? known) => known,
                string name => Encoding.GetEncoding(name),
                int or long => Encoding.GetEncoding(Convert.ToInt32(value, CultureInfo.InvariantCulture)),
                _ => throw new ArgumentException(null, nameof(inputData)),
            };
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException or OverflowException)
        {
            throw new ArgumentTransformationMetadataException(
                $"'{inputData}' is no encoding that is known here. Give {string.Join(", ", Names.Keys)}, another name or code page of " +
                ".NET's, or an Encoding.", e);
        }
    }
}

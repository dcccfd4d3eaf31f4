using System.Globalization;
using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>Reads the mode of a file as chmod does: '660' is octal. UnixFileMode values and their names are accepted, too.</summary>
/// <remarks>A plain UnixFileMode parameter would read 660 as a decimal number, which is 1224 in octal.</remarks>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class UnixModeAttribute : ArgumentTransformationAttribute
{
    private const UnixFileMode Most = (UnixFileMode)0b111_111_111;

    /// <summary>Turns the argument into a mode. Several values, for instance names, are combined.</summary>
    /// <param name="engineIntrinsics">Not used.</param>
    /// <param name="inputData">The argument as given.</param>
    /// <returns>A UnixFileMode.</returns>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData) =>
        Argument.Each(inputData).Select(Read).Aggregate(UnixFileMode.None, (all, mode) => all | mode);

    private static UnixFileMode Read(object? value)
    {
        UnixFileMode? mode = Argument.Unwrap(value) switch
        {
            UnixFileMode given => given,
            string text => ParseOctal(text.Trim()) ?? ParseNames(text),

            // The shell has no octal numbers, so an unquoted 660 is a decimal number. The user means its digits.
            int or long => ParseOctal(Convert.ToString(Argument.Unwrap(value), CultureInfo.InvariantCulture)!),
            _ => null,
        };
        return mode is UnixFileMode read && (read & ~Most) == 0
            ? read
            : throw new ArgumentTransformationMetadataException(
                $"'{value}' is no mode of a socket. Give octal digits as for chmod, up to 777 ('660': the user and the group; " +
                "'600': the user alone; '666': everybody), or a UnixFileMode.");
    }

    private static UnixFileMode? ParseOctal(string text) =>
        text.Length is >= 1 and <= 4 && text.All(c => c is >= '0' and <= '7') ? (UnixFileMode)Convert.ToInt32(text, 8) : null;

    private static UnixFileMode? ParseNames(string text) =>
        text.Any(char.IsAsciiLetter) && Enum.TryParse(text, ignoreCase: true, out UnixFileMode mode) ? mode : null;
}

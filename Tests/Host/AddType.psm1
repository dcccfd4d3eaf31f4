# Add-Type for the embedded PowerShell, which has none: with what tests and examples ask of it, and with the compiler that pwsh's uses.
# Who imports this looks first whether there is the real one.

$script:compiled = @{}

function Add-Type {
    <#
    .SYNOPSIS
        Compiles C# into memory and loads it, or into a file and does not, as pwsh's command does.
    #>
    [CmdletBinding()]
    [OutputType([type])]
    [Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSAvoidOverwritingBuiltInCmdlets', '', Justification = 'It stands in where there is none.')]
    param(
        [Parameter(Mandatory, Position = 0)] [string] $TypeDefinition,
        [string[]] $ReferencedAssemblies = @(),
        [string] $OutputAssembly,
        [switch] $PassThru
    )

    if ($OutputAssembly) {
        if ($PassThru) { throw [System.NotSupportedException]::new('This Add-Type does not load what it writes to a file.') }
        $bytes = ConvertTo-Assembly -TypeDefinition $TypeDefinition -ReferencedAssemblies $ReferencedAssemblies
        [System.IO.File]::WriteAllBytes($OutputAssembly, $bytes)
        return
    }

    # The same code again is no second type of that name.
    if (-not $script:compiled.ContainsKey($TypeDefinition)) {
        $bytes = ConvertTo-Assembly -TypeDefinition $TypeDefinition -ReferencedAssemblies $ReferencedAssemblies
        $script:compiled[$TypeDefinition] = [System.Reflection.Assembly]::Load($bytes)
    }

    if ($PassThru) { $script:compiled[$TypeDefinition].GetTypes() }
}

function ConvertTo-Assembly {
    <#
    .SYNOPSIS
        Compiles C# into the bytes of an assembly.
    #>
    [CmdletBinding()]
    [OutputType([byte[]])]
    param([string] $TypeDefinition, [string[]] $ReferencedAssemblies)

    $null = [System.Reflection.Assembly]::Load('Microsoft.CodeAnalysis.CSharp')
    $runtime = [System.IO.Path]::GetDirectoryName([object].Assembly.Location)
    $references = [System.Collections.Generic.List[Microsoft.CodeAnalysis.MetadataReference]]::new()
    # All of the runtime's are referenced, so those that are given by name are already.
    foreach ($path in "$([AppContext]::GetData('TRUSTED_PLATFORM_ASSEMBLIES'))".Split(':').Where({ $_.StartsWith($runtime) }) + $ReferencedAssemblies -match '/') {
        $references.Add([Microsoft.CodeAnalysis.MetadataReference]::CreateFromFile($path))
    }

    # Overloads differ in optional parameters alone, so all are given.
    $source = [Microsoft.CodeAnalysis.Text.SourceText]::From($TypeDefinition, [System.Text.Encoding]::UTF8)
    $trees = [Microsoft.CodeAnalysis.SyntaxTree[]]@([Microsoft.CodeAnalysis.CSharp.CSharpSyntaxTree]::ParseText($source))
    $options = [Microsoft.CodeAnalysis.CSharp.CSharpCompilationOptions]::new([Microsoft.CodeAnalysis.OutputKind]::DynamicallyLinkedLibrary)
    $name = [System.IO.Path]::GetRandomFileName()
    $compilation = [Microsoft.CodeAnalysis.CSharp.CSharpCompilation]::Create($name, $trees, $references, $options)
    $stream = [System.IO.MemoryStream]::new()
    $result = $compilation.Emit(
        $stream, $null, $null, $null, $null, [Microsoft.CodeAnalysis.Emit.EmitOptions]::new(), [System.Threading.CancellationToken]::None)
    if (-not $result.Success) {
        throw [System.ArgumentException]::new($result.Diagnostics.Where({ "$($_.Severity)" -eq 'Error' }) -join "`n")
    }

    , $stream.ToArray()
}

Export-ModuleMember -Function Add-Type

# Holds the module against its own conventions: metadata, manifest, help and views are walked, no list is kept by hand.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

$root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
Import-Module "$root/C10kServer.psd1"

$commands = foreach ($command in Get-Command -Module C10kServer -CommandType Cmdlet) {
    @{ Name = $command.Name }
}

$parameters = foreach ($command in Get-Command -Module C10kServer -CommandType Cmdlet) {
    foreach ($name in $command.Parameters.Keys) {
        if (-not [System.Management.Automation.Cmdlet]::CommonParameters.Contains($name)) {
            @{ Command = $command.Name; Parameter = $name }
        }
    }
}

$examples = foreach ($command in Get-Command -Module C10kServer -CommandType Cmdlet) {
    foreach ($example in (Get-Help $command.Name -Examples).examples.example) {
        @{ Command = $command.Name; Title = $example.title.Trim('- '); Code = $example.code }
    }
}

# What the cmdlets say that they write, as far as it is the module's own.
$written = @{}
foreach ($command in Get-Command -Module C10kServer -CommandType Cmdlet) {
    foreach ($attribute in $command.ImplementingType.GetCustomAttributes([System.Management.Automation.OutputTypeAttribute], $false)) {
        foreach ($type in @($attribute.Type.Name) -like 'C10kServer.*') { $written[$type] = @{ Name = $type } }
    }
}

# The module's own types, as far as objects of them come into users' hands. Errors come in records, which keep their messages.
$public = [C10kServer.Server].Assembly.GetExportedTypes().Where({ $_.Namespace -eq 'C10kServer' })
$outputs = foreach ($type in $public) {
    $isForTheShell = [System.Management.Automation.IModuleAssemblyInitializer].IsAssignableFrom($type)
    $isError = $type.IsSubclassOf([System.Exception])
    $isArgument = $type.IsDefined([System.ComponentModel.TypeConverterAttribute], $false)
    if ($type.IsClass -and -not $type.IsAbstract -and -not ($isForTheShell -or $isError -or $isArgument)) { @{ Name = $type.Name } }
}

$enums = foreach ($type in $public.Where({ $_.IsEnum })) {
    $engineName = switch ($type.Name) {
        # In the engine the first would be taken for the logging package's, and the second is a class.
        'LogLevel' { 'EventLevel' }
        'Framing' { 'FramingKind' }
        # Of the cmdlets alone: what these mean is said to the engine in other ways.
        { $_ -in 'BuiltInProtocol', 'ByteOrder', 'CountComparison', 'NewLine', 'ServerScope' } { $null }
        default { $type.Name }
    }
    if ($engineName) { @{ Name = $type.Name; EngineName = $engineName } }
}

$views = [xml][System.IO.File]::ReadAllText("$root/Formats/C10kServer.format.ps1xml")
$tables = foreach ($view in $views.Configuration.ViewDefinitions.View) {
    if ($null -ne $view.TableControl) { @{ Name = $view.Name; Type = $view.ViewSelectedBy.TypeName } }
}

Describe 'The manifest' {
    BeforeAll {
        $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
        $tree = [System.Management.Automation.Language.Parser]::ParseFile("$root/C10kServer.psd1", [ref]$null, [ref]$null)
        $isTable = { param($node) $node -is [System.Management.Automation.Language.HashtableAst] }
        $manifest = $tree.Find($isTable, $false).SafeGetValue()
        $module = Get-Module C10kServer
    }

    It 'exports exactly the cmdlets that the assembly has' {
        $classes = [C10kServer.Server].Assembly.GetExportedTypes().Where({
                $_.IsDefined([System.Management.Automation.CmdletAttribute], $false) })
        $names = foreach ($class in $classes) {
            $attribute = $class.GetCustomAttributes([System.Management.Automation.CmdletAttribute], $false)[0]
            "$($attribute.VerbName)-$($attribute.NounName)"
        }
        [array]::Sort($names)
        $manifest.CmdletsToExport -join ' ' | Should -Be ($names -join ' ')
    }

    It 'exports nothing by wildcard' {
        "$($manifest.CmdletsToExport)" | Should -Not -Match '[*?]'
        @($manifest.FunctionsToExport).Count | Should -Be 0
        @($manifest.VariablesToExport).Count | Should -Be 0
        @($manifest.AliasesToExport).Count | Should -Be 0
    }

    It 'exports no function, variable or alias' {
        $module.ExportedFunctions.Count | Should -Be 0
        $module.ExportedVariables.Count | Should -Be 0
        $module.ExportedAliases.Count | Should -Be 0
    }

    It 'is for PowerShell 7.6 and later on Linux' {
        $manifest.PowerShellVersion | Should -Be '7.6'
        "$($manifest.CompatiblePSEditions)" | Should -Be 'Core'
        $manifest.PrivateData.PSData.Tags -contains 'Linux' | Should -BeTrue
    }

    It 'names files that are there' {
        [System.IO.File]::Exists("$root/$($manifest.RootModule)") | Should -BeTrue
        $nested = (Get-Module C10kServer).NestedModules.Where({ $_.Name -eq 'C10kServer.Formats' })
        $nested | Should -HaveCount 1
        $nested.ExportedTypeFiles | Should -Be "$root/Formats/C10kServer.types.ps1xml"
        $nested.ExportedFormatFiles | Should -Be "$root/Formats/C10kServer.format.ps1xml"
    }
}

Describe 'The assembly' {
    It 'shows no type of the private load context, in no public type' {
        $flags = [System.Reflection.BindingFlags]'Public, NonPublic, Instance, Static, DeclaredOnly'
        foreach ($type in [C10kServer.Server].Assembly.GetExportedTypes()) {
            $used = @(
                $type.BaseType
                $type.GetInterfaces()
                $type.GetFields($flags).Where({ $_.IsPublic -or $_.IsFamily }).ForEach({ $_.FieldType })
                $type.GetMethods($flags).Where({ $_.IsPublic -or $_.IsFamily }).ForEach({ $_.ReturnType; $_.GetParameters().ForEach({ $_.ParameterType }) })
                $type.GetConstructors($flags).Where({ $_.IsPublic -or $_.IsFamily }).ForEach({ $_.GetParameters().ForEach({ $_.ParameterType }) })
            )
            foreach ($one in $used) {
                "$one" | Should -Not -Match 'C10kServer\.Engine\.|Microsoft\.Extensions' -Because $type.FullName
            }
        }
    }
}

Describe 'Each about file' {
    It 'fits 80 columns, and names commands that there are' {
        $known = (Get-Command -Module C10kServer -CommandType Cmdlet).Name
        $files = [System.IO.Directory]::GetFiles("$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/en-US", 'about_*.help.txt')
        $files.Count | Should -BeGreaterThan 2
        foreach ($file in $files) {
            $text = [System.IO.File]::ReadAllText($file)
            foreach ($line in $text -split "`n") { $line.Length -le 80 | Should -BeTrue -Because $line }
            foreach ($match in [regex]::Matches($text, '\b[A-Z][A-Za-z]+-C10k[A-Za-z]+')) { $known | Should -Contain $match.Value -Because $file }
            $topic = [System.IO.Path]::GetFileName($file) -replace '\.help\.txt$'
            $text | Should -Match "\ATOPIC\n    $topic\n"
            "$(Get-Help $topic)" | Should -Match $topic
        }
    }
}

Describe 'about_C10kServer' {
    BeforeAll {
        $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
        $about = [System.IO.File]::ReadAllText("$root/en-US/about_C10kServer.help.txt")
        $source = foreach ($file in [System.IO.Directory]::GetFiles("$root/Cmdlets", '*.cs', 'AllDirectories')) {
            if ($file -notmatch '/(bin|obj)/') { [System.IO.File]::ReadAllText($file) }
        }
        $section = { param($title) [regex]::Match($about, "(?ms)^$title`$(.*?)(?=^[A-Z]|\z)").Groups[1].Value }
    }

    It 'lists each cmdlet, and sees each also' {
        foreach ($title in 'THE CMDLETS', 'SEE ALSO') {
            $text = & $section $title
            foreach ($command in Get-Command -Module C10kServer -CommandType Cmdlet) {
                $text | Should -Match "(?m)^ +$($command.Name)\b" -Because $title
            }
        }
    }

    It 'says what each state and each close reason means' {
        foreach ($enum in [C10kServer.ConnectionState], [C10kServer.CloseReason], [C10kServer.ServerState]) {
            foreach ($value in [enum]::GetNames($enum)) {
                # Nobody ever sees a server before it runs.
                if ($enum -eq [C10kServer.ServerState] -and $value -eq 'Created') { continue }
                $about | Should -Match "(?m)^ {8}$value +[a-z]" -Because "$enum $value"
            }
        }
    }

    It 'lists each error that the module writes, with its category' {
        $errors = & $section 'ERRORS'
        $ids = [regex]::Matches("$source", '"(\w+)",\s*ErrorCategory\.(\w+)')
        $ids.Count | Should -BeGreaterThan 10
        foreach ($id in $ids) {
            $errors | Should -Match "(?m)^ +$($id.Groups[1].Value) +$($id.Groups[2].Value) "
        }

        foreach ($id in [regex]::Matches("$source", 'WriteNotFound\(\s*"(\w+)"')) {
            $errors | Should -Match "(?m)^ +$($id.Groups[1].Value) +ObjectNotFound "
        }
    }

    It 'lists no error that no test provokes' {
        $tests = foreach ($file in [System.IO.Directory]::GetFiles($PSScriptRoot, '*.Tests.ps1')) {
            if ($file -ne $PSCommandPath) { [System.IO.File]::ReadAllText($file) }
        }
        $elsewhere = @{
            PlatformNotSupported = 'there is no other system here; that each cmdlet looks is tested below'
            PortAccessDenied     = 'root cannot provoke it; that the engine''s failures have their Ids is tested below'
            StartFailed          = 'it is for what nobody has foreseen; as above'
        }

        # A shell that can have no further thread is made for the engine's tests.
        $tests += [System.IO.File]::ReadAllText("$PSScriptRoot/../Faults/Shell.ps1")
        foreach ($id in [regex]::Matches((& $section 'ERRORS'), '(?m)^ {8}([A-Z]\w+) +[A-Z]\w+ ')) {
            $name = $id.Groups[1].Value
            if ($name -eq 'Id') { continue }
            if ($elsewhere[$name]) { continue }
            "$tests" -match "\b$name\b" | Should -BeTrue -Because "a test provokes $name"
        }
    }

    It 'has an Id for each way in which the engine fails to start' {
        Start-C10kServer | Stop-C10kServer
        $engine = [AppDomain]::CurrentDomain.GetAssemblies().Where({ $_.GetName().Name -eq 'C10kServer.Engine' })[0]
        $exception = $engine.GetType('C10kServer.Engine.ServerStartException')
        $constructor = $exception.GetConstructors('Public, NonPublic, Instance')[0]
        $errors = [C10kServer.Server].Assembly.GetType('C10kServer.Commands.EngineErrors')
        $map = $errors.GetMethods('Static, NonPublic').Where({ $_.GetParameters()[0].ParameterType -eq $exception -and $_.Name -eq 'For' })[0]
        $ids = foreach ($failure in [enum]::GetValues($engine.GetType('C10kServer.Engine.StartFailure'))) {
            $arguments = foreach ($parameter in $constructor.GetParameters()) {
                switch ($parameter.ParameterType) {
                    { $_ -eq [string] } { 'no' }
                    { $_ -eq [int] } { 13 }
                    { $_.IsEnum } { $failure }
                    default { $null }
                }
            }
            $record = $map.Invoke($null, @($constructor.Invoke(@($arguments)), $null, ''))
            $record.CategoryInfo.Category | Should -Not -Be NotSpecified
            $record.FullyQualifiedErrorId
        }
        foreach ($id in 'PortInUse', 'PortAccessDenied', 'AddressNotAvailable', 'DescriptorLimit', 'ThreadLimit') { $ids | Should -Contain $id }
        foreach ($id in $ids) { & $section 'ERRORS' | Should -Match "(?m)^ +$id " }
    }

    It 'lists no error that there is not' {
        $ids = [regex]::Matches((& $section 'ERRORS'), '(?m)^ {8}([A-Z]\w+) +([A-Z]\w+) ').Where({ $_.Groups[1].Value -ne 'Id' })
        $ids.Count | Should -BeGreaterThan 10
        foreach ($id in $ids) {
            "$source" | Should -Match "`"$($id.Groups[1].Value)`""
            [System.Management.Automation.ErrorCategory]$id.Groups[2].Value | Should -Not -BeNullOrEmpty
        }
    }
}

Describe 'What is written: <Name>' -ForEach @($written.Values) {
    BeforeAll {
        $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
        $type = [C10kServer.Server].Assembly.GetType($Name)
    }

    It 'is a public type of the module' {
        $type.IsPublic | Should -BeTrue
    }

    It 'keeps the names of its enums in CLIXML' {
        $types = [xml][System.IO.File]::ReadAllText("$root/Formats/C10kServer.types.ps1xml")
        $node = $types.Types.SelectSingleNode("Type[Name='$Name']//NoteProperty[Name='SerializationDepth']/Value")
        $node.InnerText | Should -Be 1
    }

    It 'has a view' {
        $views = [xml][System.IO.File]::ReadAllText("$root/Formats/C10kServer.format.ps1xml")
        @($views.Configuration.ViewDefinitions.View.ViewSelectedBy.TypeName) -contains $Name | Should -BeTrue
    }

    It 'goes into each -Server, where it is of a server' {
        if ($type -eq [C10kServer.Server] -or $type.GetProperty('ServerName')) {
            [C10kServer.Parameters.ServerSelector].GetConstructor(@($type)) | Should -Not -BeNullOrEmpty
        }
    }
}

Describe 'Cmdlet <Name>' -ForEach $commands {
    BeforeAll {
        $command = Get-Command $Name
        $help = Get-Help $Name -Full
        $common = [System.Management.Automation.Cmdlet]::CommonParameters
        $attributes = $command.ImplementingType.GetCustomAttributes([System.Management.Automation.OutputTypeAttribute], $false)
        $outputTypes = @($attributes.Type.Name)
        $changes = $command.Verb -notin 'Get', 'Measure', 'Test', 'Watch', 'Wait', 'ConvertTo', 'Invoke'
    }

    It 'has an approved verb' {
        $verbs = foreach ($group in 'Common', 'Communications', 'Data', 'Diagnostic', 'Lifecycle', 'Other', 'Security') {
            [psobject].Assembly.GetType("System.Management.Automation.Verbs$group").GetFields().ForEach({ $_.GetValue($null) })
        }
        $verbs -ccontains $command.Verb | Should -BeTrue
    }

    It 'has a singular noun of the module' {
        # Prometheus is a name, and one of them.
        $command.Noun -cmatch '^C10k([A-Z]\w*[^s]|Prometheus)$' | Should -BeTrue
    }

    It 'has the class that its name says' {
        $command.ImplementingType.FullName | Should -Be "C10kServer.Commands.$($command.Verb)$($command.Noun)Command"
    }

    It 'says on other systems than Linux what it needs, before it does anything' {
        $command.ImplementingType.IsSubclassOf([C10kServer.Commands.C10kCmdlet]) | Should -BeTrue
        for ($type = $command.ImplementingType; $type -ne [C10kServer.Commands.C10kCmdlet]; $type = $type.BaseType) {
            $folder = "$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/Cmdlets/Commands"
            foreach ($file in [System.IO.Directory]::GetFiles($folder, "$($type.Name -replace 'Command$')*.cs")) {
                $text = [System.IO.File]::ReadAllText($file)
                if ($text -match 'void BeginProcessing\(\)') {
                    $text | Should -Match 'void BeginProcessing\(\)\s*\{\s*base\.BeginProcessing\(\);' -Because $file
                }
            }
        }
    }

    It 'declares what it writes' {
        @($outputTypes -ne 'System.Void').Count | Should -BeGreaterThan 0
    }

    It 'asks ShouldProcess exactly when it changes something' {
        $command.Parameters.ContainsKey('WhatIf') | Should -Be $changes
        $command.Parameters.ContainsKey('Confirm') | Should -Be $changes
    }

    It 'does not stop an unattended pipeline to ask' {
        $attribute = $command.ImplementingType.GetCustomAttributes([System.Management.Automation.CmdletAttribute], $false)[0]
        "$($attribute.ConfirmImpact)" | Should -Be $(if ($changes) { 'Medium' } else { 'None' })
    }

    It 'has -PassThru exactly when it writes nothing otherwise' {
        $command.Parameters.ContainsKey('PassThru') | Should -Be ($outputTypes -contains 'System.Void')
    }

    It 'takes its targets from the pipeline as -InputObject, and nothing else, or as -Server where it only looks' {
        $target = @('InputObject', 'Server').Where({ $command.Parameters.ContainsKey($_) })[0]
        $taking = foreach ($set in $command.ParameterSets) {
            foreach ($parameter in $set.Parameters) {
                # An Id or a name that is taken by that property's name would be a job's or a process's.
                if ($target) { $parameter.ValueFromPipelineByPropertyName | Should -BeFalse -Because $parameter.Name }
                if ($parameter.ValueFromPipeline) { $parameter.Name }
            }
        }
        if ($target) { $taking | Sort-Object -Unique | Should -Be $target }
    }

    It 'has targets that can be made of any object, so that a wrong one is named in the error' {
        if ($command.Parameters.ContainsKey('InputObject')) {
            $type = $command.Parameters['InputObject'].ParameterType.GetElementType()
            $type.Name | Should -BeIn 'ServerTarget', 'ConnectionTarget'
            foreach ($object in 1, 'text', (Get-Process -Id $PID), @{ Id = 1 }, [pscustomobject]@{ Id = 1 }) {
                $made = [System.Management.Automation.LanguagePrimitives]::ConvertTo($object, $type)
                $made.Value | Should -Be $object
            }
        }
    }

    It 'acts on nothing unless it is told on what' {
        if ($changes -and $command.Parameters.ContainsKey('InputObject')) {
            foreach ($set in $command.ParameterSets) {
                @($set.Parameters.Where({ $_.IsMandatory -and $_.Name -in 'Name', 'Id', 'InputObject', 'Server' })).Count |
                    Should -BeGreaterThan 0 -Because $set.Name
            }
        }
    }

    It 'acts on what another cmdlet writes' {
        if ($command.Parameters.ContainsKey('InputObject')) {
            $wanted = $command.Parameters['InputObject'].ParameterType.GetElementType().FullName -replace 'Target$'
            $sources = (Get-Command -Module C10kServer -CommandType Cmdlet).Where({ $_.OutputType.Name -contains $wanted })
            $sources.Count | Should -BeGreaterThan 0 -Because $wanted
        }
    }

    It 'has a timeout where it waits' {
        if ($command.Verb -in 'Wait', 'Test', 'Watch' -or $command.Parameters.ContainsKey('Drain')) {
            $command.Parameters['Timeout'].ParameterType | Should -Be ([C10kServer.Duration])
        }
    }

    It 'has help: synopsis, description, inputs, outputs, links' {
        $help.Synopsis.Trim() | Should -Match '^[A-Z].*\.$'
        "$($help.description.Text)".Length | Should -BeGreaterThan 100
        @($help.inputTypes.inputType).Count | Should -BeGreaterThan 0
        @($help.relatedLinks.navigationLink).Count | Should -BeGreaterThan 0
        foreach ($link in $help.relatedLinks.navigationLink.Where({ -not $_.uri }).linkText) {
            if ($link -notlike 'about_*') {
                Get-Command $link -Module C10kServer | Should -Not -BeNullOrEmpty -Because $link
            }
        }
    }

    It 'has an address for Get-Help -Online, in its metadata and first in its help' {
        $expected = (Get-Module C10kServer).PrivateData.PSData.ProjectUri
        $expected | Should -Match '^https://'
        $command.HelpUri | Should -Be $expected
        @($help.relatedLinks.navigationLink)[0].uri | Should -Be $expected
    }

    It 'has help on the types that it writes' {
        $documented = foreach ($value in $help.returnValues.returnValue) { $value.type.name.Trim() }
        foreach ($type in $outputTypes -ne 'System.Void') {
            $documented -contains $type | Should -BeTrue -Because $type
        }
        $documented -contains 'None' | Should -Be ($outputTypes -contains 'System.Void')
    }

    It 'has at least two examples, numbered in their order, whose titles fit a line' {
        $titles = @($help.examples.example.title)
        $titles.Count | Should -BeGreaterThan 1
        for ($i = 0; $i -lt $titles.Count; $i++) {
            $titles[$i] | Should -Match "^-{10} Example $($i + 1): \S.* -{10}`$"
            $titles[$i].Length | Should -BeLessThan 76 -Because 'help is indented by four'
        }
    }

    It 'has help on exactly the parameters that it has' {
        $documented = @($help.parameters.parameter.name)
        $real = @($command.Parameters.Keys.Where({ -not $common.Contains($_) }))
        [array]::Sort($documented)
        [array]::Sort($real)
        $documented -join ' ' | Should -Be ($real -join ' ')
    }

    It 'has help on exactly the parameter sets that it has' {
        $documented = @(foreach ($item in $help.syntax.syntaxItem) {
                $names = @($item.parameter.name)
                [array]::Sort($names)
                $names -join ' '
            })
        $real = @(foreach ($set in $command.ParameterSets) {
                $names = @($set.Parameters.Name.Where({ -not $common.Contains($_) }))
                [array]::Sort($names)
                $names -join ' '
            })
        [array]::Sort($documented)
        [array]::Sort($real)
        $documented -join ' | ' | Should -Be ($real -join ' | ')
    }
}

Describe 'Parameter <Command> -<Parameter>' -ForEach $parameters {
    BeforeAll {
        $metadata = (Get-Command $Command).Parameters[$Parameter]
        $type = $metadata.ParameterType
        $element = if ($type.IsArray) { $type.GetElementType() } else { $type }
        $uses = @(foreach ($set in (Get-Command $Command).ParameterSets) { $set.Parameters.Where({ $_.Name -eq $Parameter }) })
        $help = Get-Help $Command -Parameter $Parameter
    }

    It 'is described' {
        "$($help.description.Text)" | Should -Match '^[A-Z0-9].+\.$'
        $help.defaultValue | Should -Not -BeNullOrEmpty
    }

    It 'is described as it is' {
        $position = if ($uses[0].Position -lt 0) { 'named' } else { "$($uses[0].Position)" }
        $pipeline = if ($uses[0].ValueFromPipeline) { 'True (ByValue)' }
        elseif ($uses[0].ValueFromPipelineByPropertyName) { 'True (ByPropertyName)' }
        else { 'False' }
        $aliases = if ($metadata.Aliases.Count) { $metadata.Aliases -join ', ' } else { 'none' }
        $globbing = @($metadata.Attributes.Where({ $_ -is [System.Management.Automation.SupportsWildcardsAttribute] })).Count -gt 0
        $help.required | Should -Be "$($uses[0].IsMandatory)"
        $help.position | Should -Be $position
        $help.pipelineInput | Should -Be $pipeline
        $help.aliases | Should -Be $aliases
        $help.globbing | Should -Be "$globbing"
        $help.type.name.Trim() | Should -Be $type.FullName
    }

    It 'lists the values of an enum in help' {
        if ($element.IsEnum) {
            $help.parameterValueGroup.parameterValue -join ' ' | Should -Be ([enum]::GetNames($element) -join ' ')
        }
    }

    It 'is of the type Duration where it is a duration' {
        # A TimeSpan reads a number as ticks; an attribute that mended it would be lost in mocks and proxies.
        $element | Should -Not -Be ([timespan])
        if ($Parameter -cmatch '(Timeout|Interval|Duration|KeepAlive|MinimumAge|MinimumIdle)$') { $type | Should -Be ([C10kServer.Duration]) }
    }

    It 'takes wildcards where it is the name of what there is' {
        if ($Parameter -eq 'Server' -or ($Parameter -eq 'Name' -and $Command -ne 'Start-C10kServer')) {
            @($metadata.Attributes.Where({ $_ -is [System.Management.Automation.SupportsWildcardsAttribute] })).Count | Should -Be 1
        }
    }

    It 'is completed' {
        $isTarget = $Parameter -in 'Id', 'Server', 'Worker' -or ($Parameter -eq 'Name' -and $Command -ne 'Start-C10kServer')
        if ($isTarget) {
            @($metadata.Attributes.Where({ $_ -is [System.Management.Automation.ArgumentCompleterAttribute] })).Count | Should -Be 1
        }
        if ($Parameter -in 'State', 'Scope', 'Protocol') {
            $element.IsEnum | Should -BeTrue
        }
    }
}

Describe 'Example of <Command>: <Title>' -ForEach $examples {
    BeforeAll {
        Get-C10kServer | Stop-C10kServer
    }

    AfterAll {
        Get-C10kServer | Stop-C10kServer
    }

    It 'fits a console of 80 columns, in which help is indented by four' {
        foreach ($line in $Code -split '\r?\n') { $line.Length -le 76 | Should -BeTrue -Because $line }
        "---------- $Title ----------".Length -le 76 | Should -BeTrue -Because $Title
    }

    It 'runs, and cleans up behind itself' {
        $ErrorActionPreference = 'Stop'
        $null = & ([scriptblock]::Create($Code))
        @(Get-C10kServer).Count | Should -Be 0
    }

    It 'writes what the cmdlet declares, and without -PassThru nothing where that is so' {
        $metadata = Get-Command $Command
        $declared = $metadata.OutputType.Name
        $tree = [System.Management.Automation.Language.Parser]::ParseInput($Code, [ref]$null, [ref]$null)
        foreach ($statement in $tree.EndBlock.Statements) {
            $isAssignment = $statement -is [System.Management.Automation.Language.AssignmentStatementAst]
            $written = @(. ([scriptblock]::Create($statement.Extent.Text)))
            if ($isAssignment) { $written = @(. ([scriptblock]::Create($statement.Left.Extent.Text))) }
            $pipeline = if ($isAssignment) { $statement.Right } else { $statement }
            if ($pipeline -isnot [System.Management.Automation.Language.PipelineAst]) { continue }
            $last = $pipeline.PipelineElements[$pipeline.PipelineElements.Count - 1]
            if ($last -isnot [System.Management.Automation.Language.CommandAst] -or $last.GetCommandName() -ne $Command) { continue }
            foreach ($object in $written) { $declared -contains $object.GetType().FullName | Should -BeTrue -Because "$($object.GetType())" }
            if ($metadata.Parameters.ContainsKey('PassThru') -and $last.CommandElements.ParameterName -notcontains 'PassThru') {
                $written.Count | Should -Be 0
            }
        }
    }
}

Describe '-WhatIf' {
    BeforeAll {
        $server = Start-C10kServer -Name whatif
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
        $patience = [System.Diagnostics.Stopwatch]::StartNew()
        while ($server.ConnectionCount -eq 0 -and $patience.Elapsed.TotalSeconds -lt 180) {
            [System.Threading.Thread]::Sleep(10)
        }
    }

    AfterAll {
        $client.Dispose()
        $server | Stop-C10kServer
    }

    It 'starts nothing' {
        Start-C10kServer -Name other -WhatIf | Should -BeNullOrEmpty
        Get-C10kServer other* | Should -BeNullOrEmpty
    }

    It 'stops nothing' {
        $server | Stop-C10kServer -WhatIf -PassThru | Should -BeNullOrEmpty
        "$($server.State)" | Should -Be 'Running'
    }

    It 'closes nothing' {
        $server | Get-C10kConnection | Close-C10kConnection -WhatIf -PassThru | Should -BeNullOrEmpty
        @($server | Get-C10kConnection -State Open).Count | Should -Be 1
    }
}

Describe 'Type <Name>' -ForEach $outputs {
    BeforeAll {
        $type = [C10kServer.Server].Assembly.GetType("C10kServer.$Name")
        $server = Start-C10kServer -Name types
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $server.Port)
        $patience = [System.Diagnostics.Stopwatch]::StartNew()
        while ($server.ConnectionCount -eq 0 -and $patience.Elapsed.TotalSeconds -lt 180) {
            [System.Threading.Thread]::Sleep(10)
        }

        if ($Name -eq 'LiveConnection') {
            # In a handler's hands alone, who may pass it on.
            $queue = [System.Collections.Concurrent.ConcurrentQueue[object]]::new()
            $script = Start-C10kServer -Name script -OnConnect { ($using:queue).Enqueue($Connection) } -ScriptBlock { 1 }
            $client.Dispose()
            $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $script.Port)
            while ($queue.Count -eq 0 -and $patience.Elapsed.TotalSeconds -lt 180) {
                [System.Threading.Thread]::Sleep(10)
            }
        }

        $object = switch ($Name) {
            'LiveConnection' { $queue.ToArray()[0] }
            'Server' { $server }
            'Connection' { @($server.Connections)[0] }
            'Worker' { @($server.Workers)[0] }
            'ServerOptions' { $server.Options }
            'Sample' { $server | Measure-C10kServer -Interval 10ms }
            'LogRecord' { @(Get-C10kLog types)[0] }
            'LoadResult' { $server | Invoke-C10kLoad -Connection 2 -Count 10 }
            { $_ -like '*EventArgs' } {
                # What the shell's event manager keeps of one event of each kind.
                $kind = if ($Name -eq 'ServerStateEventArgs') { 'StateChanged' } else { 'ConnectionClosed' }
                $source = Start-C10kServer -Name source
                $events = $ExecutionContext.Events
                $subscription = $events.SubscribeEvent($source, $kind, 'source', $null, [scriptblock]$null, $false, $false)
                [System.Net.Sockets.TcpClient]::new('127.0.0.1', $source.Port).Dispose()
                while ($source.Closed -eq 0 -and $patience.Elapsed.TotalSeconds -lt 180) { [System.Threading.Thread]::Sleep(10) }
                $source | Stop-C10kServer
                $received = $events.ReceivedEvents
                while ($received.Count -eq 0 -and $patience.Elapsed.TotalSeconds -lt 180) { [System.Threading.Thread]::Sleep(10) }
                $received[0].SourceEventArgs
                $events.UnsubscribeEvent($subscription)
                while ($received.Count) { $received.RemoveAt(0) }
            }
        }

        # Counters and times of what lives go on; the last ones stay.
        if ($Name -eq 'Server') { $server | Stop-C10kServer }

        # As deep as Export-Clixml and remoting go.
        $text = [System.Management.Automation.PSSerializer]::Serialize($object, 2)
        $copy = [System.Management.Automation.PSSerializer]::Deserialize($text)
    }

    AfterAll {
        $client.Dispose()
        Get-C10kServer | Stop-C10kServer
    }

    It 'shows no type of the private load context' {
        $flags = [System.Reflection.BindingFlags]'Public, Instance, Static, DeclaredOnly'
        $types = @(
            $type.GetProperties($flags).ForEach({ $_.PropertyType })
            $type.GetMethods($flags).ForEach({ $_.ReturnType; $_.GetParameters().ForEach({ $_.ParameterType }) })
            $type.GetConstructors($flags).ForEach({ $_.GetParameters().ForEach({ $_.ParameterType }) })
        )
        foreach ($used in $types) {
            "$used" | Should -Not -Match 'C10kServer\.Engine\.|Microsoft\.Extensions'
        }
    }

    It 'has arrays where there are several: what a compiler makes for an interface has no [0] in the shell' {
        foreach ($property in $type.GetProperties()) {
            if ($property.PropertyType -ne [string] -and [System.Collections.IEnumerable].IsAssignableFrom($property.PropertyType)) {
                # IPAddress and the like are values; only what enumerates is meant.
                $property.PropertyType.IsArray | Should -BeTrue -Because "$($property.Name) is $($property.PropertyType)"
            }
        }
    }

    It 'comes back from CLIXML with each value, and enums by name' {
        $copy.PSTypeNames -contains "Deserialized.C10kServer.$Name" | Should -BeTrue
        foreach ($property in $type.GetProperties()) {
            if ($Name -eq 'Server' -and $property.Name -in 'Workers', 'Connections') {
                # Fetched: an export of a server is not one of its connections.
                $copy.PSObject.Properties[$property.Name] | Should -BeNullOrEmpty
                continue
            }

            $copy.PSObject.Properties[$property.Name] | Should -Not -BeNullOrEmpty -Because $property.Name
            $value = $object.($property.Name)
            if ($value -is [enum]) {
                $copy.($property.Name) | Should -Be "$value"
                @($copy | Where-Object $property.Name -EQ $value) | Should -HaveCount 1 -Because "Where $($property.Name) -eq $value"
                @($copy | Where-Object $property.Name -EQ "$value") | Should -HaveCount 1 -Because "Where $($property.Name) -eq $value"
            }
            # CLIXML has no such type: a time is text there, to the last tick.
            if ($value -is [datetimeoffset]) { [datetimeoffset]$copy.($property.Name) | Should -Be $value -Because $property.Name }
            if ($property.PropertyType -in [int], [long], [bool], [timespan], [double]) {
                $copy.($property.Name).GetType() | Should -Be $property.PropertyType -Because $property.Name
            }
        }
    }

    It 'is shown as the original is when it has come back, in the table and in the list' {
        $copy | Out-String -Width 120 | Should -Be ($object | Out-String -Width 120)
        $copy | Format-List | Out-String -Width 120 | Should -Be ($object | Format-List | Out-String -Width 120)
    }

    It 'says in short what it is' {
        "$object" | Should -Not -Match "^C10kServer\.$Name$"
    }
}

Describe 'Enum <Name>' -ForEach $enums {
    BeforeAll {
        # The engine is loaded by the first server.
        Start-C10kServer | Stop-C10kServer
        $ours = [C10kServer.Server].Assembly.GetType("C10kServer.$Name")
        $engine = [AppDomain]::CurrentDomain.GetAssemblies().Where({ $_.GetName().Name -eq 'C10kServer.Engine' })[0]
        $theirs = $engine.GetTypes().Where({ $_.IsPublic -and $_.Name -eq $EngineName })[0]
    }

    It 'agrees with the engine''s, in names and values' {
        $describe = { param($type) [enum]::GetValues($type).ForEach({ "$_=$([int]$_)" }) -join ' ' }
        & $describe $ours | Should -Be (& $describe $theirs)
    }
}

Describe 'The table <Name> of <Type>' -ForEach $tables {
    BeforeAll {
        $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
        $views = [xml][System.IO.File]::ReadAllText("$root/Formats/C10kServer.format.ps1xml")
        $all = @($views.Configuration.ViewDefinitions.View.Where({ $_.ViewSelectedBy.TypeName -eq $Type }))
        $table = $all.Where({ $null -ne $_.TableControl -and $_.Name -eq $Name })[0].TableControl
        $headers = @($table.TableHeaders.TableColumnHeader)
        $cells = @($table.TableRowEntries.TableRowEntry.TableColumnItems.TableColumnItem)

        # Behind a # is what tells objects of one type apart.
        $class = [C10kServer.Server].Assembly.GetType(($Type -split '#')[0])
    }

    It 'fits 80 columns, with the room that varies in the last' {
        $used = $headers.Count - 1
        foreach ($header in $headers[0..($headers.Count - 2)]) {
            $header.Width | Should -Not -BeNullOrEmpty -Because $header.Label
            $used += [int]$header.Width
        }
        $headers[-1].Width | Should -BeNullOrEmpty

        # An IPv4 address with its port has up to 21 characters.
        $wanted = if ("$($cells[-1].PropertyName)" -match 'EndPoint') { 21 } else { $headers[-1].Label.Length }
        80 - $used -ge $wanted | Should -BeTrue
    }

    It 'has a cell for each header' {
        $cells.Count | Should -Be $headers.Count
    }

    It 'fits 80 columns with the widest values that there are, and cuts nothing off' {
        $ipv6 = [System.Net.IPEndPoint]::new([ipaddress]'2001:db8:1234:5678:9abc:def0:1234:5678', 54321)
        $mapped = [System.Net.IPEndPoint]::new([ipaddress]'::ffff:203.0.113.250', 54321)
        $ipv4 = [System.Net.IPEndPoint]::new([ipaddress]'203.0.113.250', 54321)
        foreach ($endPoint in $ipv6, $mapped, $ipv4) {
            $row = [ordered]@{}
            foreach ($property in $class.GetProperties()) {
                $kind = [System.Nullable]::GetUnderlyingType($property.PropertyType) ?? $property.PropertyType
                $longest = ''
                foreach ($text in $(if ($kind.IsEnum) { [enum]::GetNames($kind) })) { if ($text.Length -gt $longest.Length) { $longest = $text } }
                $row[$property.Name] = switch ($property.Name) {
                    # Bounded, or numbered from 0.
                    'Worker' { 255; break }
                    'WorkerCount' { 256; break }
                    'BusyPercent' { 100.0; break }
                    'Id' { switch ($class) { ([C10kServer.Worker]) { 255 } ([C10kServer.Server]) { 12345 } default { 1234567890 } }; break }
                    # A connection that is watched has opened or closed.
                    'State' { if ($Type -like '*#Watched') { 'Closed' } else { $longest }; break }
                    { $kind -eq [System.Net.EndPoint] } { $endPoint; break }
                    { $kind -eq [string] } { 'a-name-longer-than-its-column'; break }
                    { $kind -eq [int] } { 1234567; break }
                    { $kind -eq [long] } { 12345; break }
                    { $kind -eq [double] } { 12345.6; break }
                    { $kind -eq [timespan] } { [timespan]'23:59:59'; break }
                    { $kind -eq [datetimeoffset] } { [datetimeoffset]'2026-12-31 23:59:59 +01:00'; break }
                    { $kind.IsEnum } { $longest; break }
                }
            }

            $object = [pscustomobject]$row
            $object.PSTypeNames.Insert(0, ($Type -split '#')[0])
            if ($Type -ne $object.PSTypeNames[0]) { $object.PSTypeNames.Insert(0, $Type) }
            $view = if ($Name -eq $class.FullName) { @{} } else { @{ View = $Name } }
            $lines = ($object | Format-Table @view | Out-String -Width 80).Split("`n").TrimEnd()
            foreach ($line in $lines) {
                $line.Length -le 80 | Should -BeTrue -Because $line
                $line | Should -Not -Match '\u2026' -Because 'nothing is cut off'
            }

            # Of numbers and times nothing is wrapped either: names and addresses alone.
            foreach ($cell in $cells) {
                $property = "$($cell.PropertyName)"
                if ($property -and $class.GetProperty($property).PropertyType -notin [string], [object], [System.Net.EndPoint]) {
                    $format = "$($cell.FormatString)"
                    $text = if ($format) { $format -f $row[$property] } else { "$($row[$property])" }
                    "$lines".Contains($text) | Should -BeTrue -Because "$property is $text"
                }
            }

            if ($endPoint -eq $ipv4 -and "$($cells.PropertyName)" -match 'EndPoint') {
                "$lines".Contains("$ipv4") | Should -BeTrue -Because 'IPv4 fits a line'
            }
        }
    }

    It 'shows properties that there are' {
        foreach ($view in $all) {
            $names = @(
                foreach ($node in $view.SelectNodes('.//PropertyName')) { $node.InnerText }
                foreach ($node in $view.SelectNodes('.//ScriptBlock')) {
                    [regex]::Matches($node.InnerText, '\$_\.(\w+)').ForEach({ $_.Groups[1].Value })
                }
            )
            $names.Count | Should -BeGreaterThan 0
            foreach ($property in $names) {
                $class.GetProperty($property) | Should -Not -BeNullOrEmpty -Because $property
            }
        }
    }
}

Describe 'The options of a server' {
    It 'show each parameter that it can be started with' {
        $common = [System.Management.Automation.Cmdlet]::CommonParameters
        foreach ($name in (Get-Command Start-C10kServer).Parameters.Keys) {
            if ($name -notin 'Name', 'WhatIf', 'Confirm' -and -not $common.Contains($name)) {
                [C10kServer.ServerOptions].GetProperty($name) | Should -Not -BeNullOrEmpty -Because $name
            }
        }
    }
}
